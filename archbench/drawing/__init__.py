"""The frame of a figure and how things look; drawing all that a run has to show."""
