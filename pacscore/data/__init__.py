"""Packaged example data."""
