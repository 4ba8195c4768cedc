"""Detection, alignment and rejects."""
