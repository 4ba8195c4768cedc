"""Discrepancy-aligned scores."""
