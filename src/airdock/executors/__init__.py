"""Turn workloads into outcomes somewhere."""
