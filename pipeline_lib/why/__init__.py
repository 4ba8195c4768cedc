"""Which parts of two faces carried their score, and whether that is true."""
