"""Maps of a pair."""
