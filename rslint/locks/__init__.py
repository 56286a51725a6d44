"""What locks guard, and where a decision outlives the lock under which it was taken (RS2)."""
