"""The demo's renderer of faces."""
