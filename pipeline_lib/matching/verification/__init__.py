"""Protocols, folds, calibration and the score columns."""
