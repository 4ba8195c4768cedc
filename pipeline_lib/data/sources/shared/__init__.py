"""What every source shares: its records, splits and drawn pairs, and the one manifest made of all sources."""
