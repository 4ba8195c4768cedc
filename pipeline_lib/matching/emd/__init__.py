"""Patch-wise earth mover's distance."""
