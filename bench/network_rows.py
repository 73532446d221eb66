"""The figures of area ``network``: importing its modules registers their rows, in the order of the issue."""

from importlib import import_module

MODULES = ("network_store", "network_fetch", "network_scale")

for _module in MODULES:
    import_module(_module)
