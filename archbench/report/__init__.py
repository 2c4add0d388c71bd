"""A run, or several, in words."""
