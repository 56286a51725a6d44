"""Bugs of released projects, reproduced with rslint_runtime.testing from the very files that were released."""
