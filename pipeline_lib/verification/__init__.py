"""Pair protocols, k-fold accuracy, ROC and calibration."""
