"""Estimates across trials, differences beyond chance, and histograms."""
