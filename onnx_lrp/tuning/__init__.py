"""Finding a composite for a model on its user's own data, and whether it is worth having."""
