"""What every kind of re-ranker stands on."""
