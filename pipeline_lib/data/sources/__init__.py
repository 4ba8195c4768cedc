"""Where photographs come from: one file a format, one manifest for all."""
