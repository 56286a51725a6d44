"""RS1: ranks that stop running the same sequence of collectives."""
