"""Whether a map is true: one file a measure."""
