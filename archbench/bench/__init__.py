"""Benchmarks of our own programs, and what is measured for pages of docs/."""
