"""Many photographs at once: pairs of a table compared, folders embedded."""
