"""Volumes and images with their geometry."""
