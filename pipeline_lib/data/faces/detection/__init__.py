"""Detectors, and what is chosen of what they find."""
