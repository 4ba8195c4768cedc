"""From strangers' photographs to aligned, cut, occluded and sharded faces."""
