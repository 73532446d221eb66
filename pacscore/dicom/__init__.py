"""Bytes, elements, objects and frames of DICOM."""
