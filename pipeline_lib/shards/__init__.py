"""WebDataset shards: deterministic writing, indexed reading, the exact epoch plan."""
