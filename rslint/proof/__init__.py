"""Proofs of fixes: the bug is shown, the fix made, and the fixed program run under the same conditions."""
