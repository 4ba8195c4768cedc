"""What every network over frozen ones stands on."""
