"""Search, re-ranking and their metrics."""
