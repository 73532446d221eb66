"""Stacks, verdicts, affines, coordinate systems."""
