"""The figures of area ``recon``: importing its modules registers their rows, in the order of the issue."""

from importlib import import_module

MODULES: tuple[str, ...] = (
    "recon_tomography",
    "recon_projectors",
    "recon_mr",
    "recon_mr_noncartesian",
    "recon_start",
)

for _module in MODULES:
    import_module(_module)
