"""Planning cells and running them, one at a time."""
