"""Pipelines: named steps with their parameters, as a value, read from TOML.

    description = "Denoised"          # Series Description of what is stored, optional

    [[step]]
    name = "nlm"
    strength = 30.0                   # in the modality's unit
    planar = true

    [[step]]
    name = "unsharp"
    sigma_mm = 0.8

Steps run in their order, each on what the one before gave. A key that a step does not know is refused, because a
misspelt one would silently leave the default.
"""

from __future__ import annotations

import threading
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pacscore.errors import InputError
from pacscore.imaging import enhancement, enhancement_steps, grid_steps
from pacscore.imaging.arrays import Progress, Watch
from pacscore.imaging.matching import MatchHistogramTo, OpenSeries
from pacscore.imaging.text_files import read_text

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

_STEPS_MAX = 256
_FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class StepKind:
    """A kind of step: the frozen dataclass whose fields are its parameters, and what applies one to a volume."""

    parameters: type[Any]
    apply: Callable[[Volume, Any, Watch], Volume]


# A family of steps joins by its line.
STEPS: Mapping[str, StepKind] = MappingProxyType(
    {
        **{name: StepKind(values, enhancement.apply_step) for name, values in enhancement_steps.STEPS.items()},
        **{name: StepKind(values, grid_steps.apply_step) for name, values in grid_steps.STEPS.items()},
        "match_histogram": StepKind(MatchHistogramTo, enhancement.apply_step),
    }
)
"""All steps by name."""


@dataclass(frozen=True, slots=True)
class Step:
    """A named step with its parameters.

    Attributes
    ----------
    name : str
        One of ``STEPS``.
    parameters : object
        A value of the class that ``STEPS`` names for it.
    """

    name: str
    parameters: Any

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any]) -> Step:
        """The step of a name and plain parameters: numbers, text, truth values, lists of numbers.

        Raises
        ------
        InputError
            There is no such step, it has no such parameter, a parameter is missing or of another kind.

        Examples
        --------
        >>> Step.of("median", {"size": 5}).parameters
        Median(size=5, planar=False)
        """
        if name not in STEPS:
            raise InputError(f"There is no step {name!r}: choose one of {', '.join(sorted(STEPS))}.", found=name)
        kind = STEPS[name].parameters
        known = {field.name: field for field in fields(kind)}
        if unknown := [key for key in given if key not in known]:
            raise InputError(
                f"{name} has no parameter {unknown[0]!r}: it takes {', '.join(known) or 'none'}.", found=unknown[0]
            )
        needed = [key for key, field in known.items() if field.default is MISSING and field.default_factory is MISSING]
        if missing := [key for key in needed if key not in given]:
            raise InputError(f"{name} needs {', '.join(missing)}: add it to the step.", expected=missing)
        hints = typing.get_type_hints(kind)
        return cls(name, kind(**{key: _checked(name, key, value, hints[key]) for key, value in given.items()}))

    def as_dict(self) -> dict[str, Any]:
        """Name and parameters, ready for JSON or TOML."""
        chosen = {key: value for key, value in asdict(self.parameters).items() if value is not None}
        return {"name": self.name, **chosen}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps in their order.

    Attributes
    ----------
    steps : tuple of Step
        At least one.
    description : str
        Series Description of the result; empty when the pipeline does not say.

    Raises
    ------
    InputError
        There is no step, or there are more than 256.
    """

    steps: tuple[Step, ...]
    description: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= _STEPS_MAX:
            raise InputError(f"A pipeline has 1 to {_STEPS_MAX} steps, not {len(self.steps)}: add [[step]] tables.")

    @classmethod
    def parse(cls, text: str) -> Pipeline:
        """Read a pipeline from TOML text.

        Raises
        ------
        InputError
            It is no TOML, or has unknown keys, steps or parameters; the message names step and place.

        Examples
        --------
        >>> Pipeline.parse('[[step]]\\nname = "gaussian"\\nsigma_mm = 2').steps[0].as_dict()
        {'name': 'gaussian', 'sigma_mm': 2.0, 'planar': False}
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"The pipeline is no TOML: {error}.") from error
        if unknown := sorted(set(document) - {"description", "step"}):
            raise InputError(f"A pipeline has description and [[step]] tables, no {unknown[0]!r}.", found=unknown[0])
        description, tables = document.get("description", ""), document.get("step", [])
        if not isinstance(description, str):
            raise InputError("The description of a pipeline is text: write it in quotes.", found=description)
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise InputError("Steps are tables: write [[step]] in double brackets, and its keys below.")
        steps = []
        for number, table in enumerate(tables, 1):
            given = dict(table)
            name = given.pop("name", None)
            if not isinstance(name, str):
                raise InputError(f'Step {number} has no name: write name = "…" in it.', found=name)
            try:
                steps.append(Step.of(name, given))
            except InputError as error:
                raise InputError(f"Step {number}: {error.message}", **error.fields) from error
        return cls(tuple(steps), description)

    @classmethod
    def read(cls, path: Path) -> Pipeline:
        """Read a pipeline from a TOML file of at most 1 MiB, UTF-8.

        Raises
        ------
        InputError
            It cannot be read, or as ``parse``.
        """
        text = read_text(path, "The pipeline", bytes_max=_FILE_BYTES_MAX)
        try:
            return cls.parse(text)
        except InputError as error:
            raise InputError(error.message, **{**error.fields, "path": str(path)}) from error

    def apply(
        self,
        volume: Volume,
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        open_series: OpenSeries | None = None,
    ) -> Volume:
        """Run the steps over a volume.

        Parameters
        ----------
        volume : Volume
            What the first step gets.
        progress : callable, optional
            Called as ``progress(phase, done, total)``; each phase begins with the number and name of its step.
        cancel : threading.Event, optional
            Once set, the work ends with ``CancelledError``.
        open_series : callable, optional
            Gives the volume of a Series Instance UID, for steps that name another series.

        Returns
        -------
        Volume
            What the last step gave; its derivation has the words of all.

        Raises
        ------
        InputError, GeometryError, UnsupportedError
            A step refuses; the message begins with its number and name.
        CancelledError
            ``cancel`` was set.
        """
        for number, step in enumerate(self.steps, 1):
            named = f"{number} {step.name}"
            watch = Watch(None if progress is None else _phased(progress, named), cancel)
            watch.check()
            try:
                parameters = step.parameters
                if isinstance(parameters, MatchHistogramTo):
                    parameters = parameters.resolved(open_series)
                volume = STEPS[step.name].apply(volume, parameters, watch)
            except InputError as error:
                raise type(error)(f"Step {named}: {error.message}", **error.fields) from error
        return volume


def _phased(progress: Progress, named: str) -> Progress:
    return lambda phase, done, total: progress(f"{named}: {phase}", done, total)


def _checked(step: str, key: str, value: Any, hint: Any) -> Any:
    """``value`` as the type that a field asks for, where no meaning is lost."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for kind in kinds:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind is float and is_number:
            return float(value)
        if kind is int and is_number and float(value).is_integer():
            return int(value)
        if kind in (bool, str) and isinstance(value, kind):
            return value
        if typing.get_origin(kind) is tuple and isinstance(value, list | tuple):
            of_item = typing.get_args(kind)[0]
            return tuple(_checked(step, key, each, of_item) for each in value)
    names = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds if kind is not type(None))
    raise InputError(f"{key} of {step} must be {names}: it is {value!r}.", expected=names, found=value)
