"""What is read and written of a run: versions, cells, workload files, and former names."""
