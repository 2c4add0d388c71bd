"""What the tables share."""
