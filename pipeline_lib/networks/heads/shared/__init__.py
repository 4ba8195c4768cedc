"""What every head stands on."""
