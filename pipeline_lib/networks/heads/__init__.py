"""Margin heads."""
