"""The same project built under conditions that differ on purpose, and every byte compared."""
