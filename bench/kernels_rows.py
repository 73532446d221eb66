"""The figures of area ``kernels``: importing its modules registers their rows, in the order of the issue."""

from importlib import import_module

MODULES: tuple[str, ...] = ("kernels_sampling", "kernels_rays", "kernels_start", "kernels_enhance")

for _module in MODULES:
    import_module(_module)
