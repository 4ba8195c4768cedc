"""What every backbone stands on."""
