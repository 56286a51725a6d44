"""Lifetime of shared-memory segments: created, handed over, opened by peers, agreed, unlinked."""
