"""What theory says: the guide's formulas, queues, and what an architecture can do with a load."""
