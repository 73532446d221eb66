"""pacscore: a medical image storage and processing core.

Real DICOM goes in, is proven, and lies in an open, compressed, chunked store; volumes, planes and frames come out fast;
every original comes back byte for byte.
"""

from pacscore.version import __version__

__all__ = ["__version__"]
