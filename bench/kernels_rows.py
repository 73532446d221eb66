"""The figures of area ``kernels``: importing its modules registers their rows, in the order of the issue."""

from importlib import import_module

MODULES: tuple[str, ...] = (
    "kernels_intensity",
    "kernels_sampling",
    "kernels_rays",
    "kernels_analysis",
    "kernels_start",
)

for _module in MODULES:
    import_module(_module)
