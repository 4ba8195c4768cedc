"""Regions of the aligned face."""
