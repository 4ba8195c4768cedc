"""The registered model as plain Python."""
