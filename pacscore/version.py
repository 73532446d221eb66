"""The version of the package and of the archive format it writes."""

__version__ = "0.1.0.dev0"

FORMAT_VERSION = 1
