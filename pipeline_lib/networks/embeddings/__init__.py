"""The store of a set's vectors."""
