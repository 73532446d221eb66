"""The figures of area ``bulk``: importing its modules registers their rows, in the order of the issue."""

from importlib import import_module

MODULES: tuple[str, ...] = ("bulk_map", "bulk_convert")

for _module in MODULES:
    import_module(_module)
