"""The figures of area ``core``: importing its modules registers their rows, in the order of the issue."""

from importlib import import_module

MODULES = (
    "core_headers",
    "core_in",
    "core_volumes",
    "core_encapsulated",
    "core_originals",
    "core_sizes",
    "core_small",
    "core_catalog",
    "core_start",
)

for _module in MODULES:
    import_module(_module)
