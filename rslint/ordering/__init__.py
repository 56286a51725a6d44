"""Publication order: which accesses of memory that processes share must be ordered, and which are not."""
