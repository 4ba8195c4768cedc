"""One comparison, told to a person."""
