"""RS3: the lifetime of shared-memory segments."""
