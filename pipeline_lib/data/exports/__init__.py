"""Aligned faces, written as other programs read them: one file a format."""
