"""Rules about the files and comments themselves; the run reports them, for they need no analysis."""
