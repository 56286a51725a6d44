"""RS2: decisions taken on a value that another thread or task may have changed."""
