"""Decoding what strangers send."""
