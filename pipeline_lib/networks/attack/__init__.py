"""Adversarial queries against the run's own gallery."""
