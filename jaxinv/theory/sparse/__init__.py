"""Theory of sparse recovery: conditions, limits and state evolution."""
