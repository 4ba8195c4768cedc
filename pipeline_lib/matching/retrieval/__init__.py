"""Identification: search and re-ranking."""
