"""What the figures and tables of a run share: loading, statistics, style and layout."""
