"""Many series at once: executors, tables, datasets, exports."""
