"""params.yaml, one file a section, and the loader."""
