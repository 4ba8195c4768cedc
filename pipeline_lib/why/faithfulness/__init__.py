"""Whether a map is true: insertion, deletion."""
