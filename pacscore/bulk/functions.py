"""The function of a run: its name and hash for the provenance, and how it travels to workers."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import json
import pickle
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pacscore.errors import InputError
from pacscore.version import __version__

if TYPE_CHECKING:
    from pacscore.imaging import Volume
    from pacscore.imaging.pipeline import Pipeline

_LIBRARIES = ("numpy", "numba")


@dataclass(frozen=True, slots=True)
class FunctionName:
    """``module:name`` of a function and the SHA-256 of its source, as hexadecimal digits."""

    name: str
    source_sha256: str


@dataclass(frozen=True, slots=True)
class PipelineFunction:
    """A pipeline as a function of a volume."""

    pipeline: Pipeline

    def __call__(self, volume: Volume) -> Volume:
        """What the last step gives."""
        return self.pipeline.apply(volume)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Names and parameters."""
        return [step.as_dict() for step in self.pipeline.steps]


def name_function(function: Callable[..., Any]) -> FunctionName:
    """The name of a function and the hash of its source.

    The hash is of the function's own source, or its byte code where that is not there, with the arguments that a
    ``functools.partial`` holds. Functions that it calls are not in it.

    Examples
    --------
    >>> name_function(functools.partial(json.dumps, indent=1)).name
    'json:dumps'
    """
    if isinstance(function, PipelineFunction):
        text = json.dumps(function.steps, sort_keys=True, default=str)
        return FunctionName("pacscore.imaging.pipeline:Pipeline.apply", _hash(text))
    held = ""
    while isinstance(function, functools.partial):
        held += repr((function.args, sorted(function.keywords.items())))
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    try:
        source = inspect.getsource(named)
    except (OSError, TypeError):
        code = getattr(named, "__code__", None)
        source = repr((code.co_code, code.co_consts)) if code is not None else repr(named)
    return FunctionName(f"{named.__module__}:{named.__qualname__}", _hash(source + held))


def load_function(name: str, *, folder: Path | None = None) -> Callable[..., Any]:
    """The function that ``module:name`` names; ``folder`` is looked in first.

    Raises
    ------
    InputError
        The words are not of that form, there is no such module or name, or it cannot be called.
    """
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise InputError(f"{name!r} is not module:name. Write for example body:volume_ml for volume_ml in body.py.")
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found = functools.reduce(getattr, attribute.split("."), importlib.import_module(module_name))
    except ImportError as error:
        raise InputError(f"The module {module_name} cannot be imported: {error}.", found=name) from error
    except AttributeError as error:
        raise InputError(f"The module {module_name} has no {attribute}.", found=name) from error
    if not callable(found):
        raise InputError(f"{name} is no function: it cannot be called.", found=name)
    return found


def pack_function(function: Callable[..., Any], *, whole: bool = False) -> bytes:
    """A function as bytes for another process.

    Parameters
    ----------
    whole
        Take its module along if that is a file of the user's rather than an installed one: workers do not have it.

    Raises
    ------
    InputError
        It cannot travel: a function of a script or notebook needs cloudpickle, which comes with the extra ``dask``.
    """
    try:
        import cloudpickle
    except ImportError:
        cloudpickle = None
    try:
        if cloudpickle is None:
            if getattr(function, "__module__", "") == "__main__":
                raise pickle.PicklingError("it belongs to a script or notebook")
            return pickle.dumps(function, protocol=5)
        module = sys.modules.get(getattr(function, "__module__", ""))
        taken = whole and module is not None and module.__name__ != "__main__" and not _is_installed(module)
        if taken:
            cloudpickle.register_pickle_by_value(module)
        try:
            return cloudpickle.dumps(function, protocol=5)  # type: ignore[no-any-return]  # Untyped, gives bytes.
        finally:
            if taken:
                cloudpickle.unregister_pickle_by_value(module)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InputError(
            f"The function cannot travel to other processes: {error}. Put it into a module, install cloudpickle (pip "
            "install 'pacscore[dask]'), or use executor='threads'."
        ) from error


def versions() -> dict[str, str]:
    """Of what results depend on."""
    found = {"python": sys.version.split()[0], "pacscore": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def plain_parameters(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters as a run records them.

    Raises
    ------
    InputError
        One cannot be written as JSON.
    """
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(parameters or {})))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Parameters are recorded as JSON: {error}. Give numbers, text, lists and mappings."
        ) from error
    return found


def _is_installed(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if file is None or module.__name__.partition(".")[0] == "pacscore":
        return True
    return any(Path(file).is_relative_to(path) for path in sysconfig.get_paths().values())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
