"""Scores of a pair: cosine, region-weighted, DAM, patch-wise EMD."""
