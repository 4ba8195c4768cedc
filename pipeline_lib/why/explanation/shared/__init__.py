"""What every explanation stands on."""
