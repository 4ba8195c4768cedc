"""Maps that say which part of a face carried the score."""
