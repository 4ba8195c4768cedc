"""Packaging and promotion."""
