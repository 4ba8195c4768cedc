"""Region networks' weights, combinations and their table (RRFNet, Approach A)."""
