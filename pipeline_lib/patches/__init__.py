"""Patch grids and their cutting."""
