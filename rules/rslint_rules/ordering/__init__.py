"""RS4: publication order in memory that processes share."""
