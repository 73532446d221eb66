"""Reconstruction: from raw data to volumes, computed tomography and magnetic resonance."""
