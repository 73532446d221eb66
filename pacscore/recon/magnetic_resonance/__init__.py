"""Magnetic resonance: from k-space to images, on plain arrays.

Arrays are ``([kz,] ky, kx)`` in k-space and ``([slice,] row, column)`` in images, coils before them, series first.
Zero frequency and the middle of the field of view lie at index ``length // 2`` of their axis; transforms are unitary,
so that noise keeps its standard deviation. Coordinates of trajectories are cycles per field of view. ``raw`` holds
measurements with their geometry; ``pacscore.recon.mr_methods`` turns them into volumes.
"""
