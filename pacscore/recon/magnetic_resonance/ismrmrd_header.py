"""The XML header of ISMRMRD: encoding spaces, matrices, fields of view, limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from pacscore.errors import InputError
from pacscore.geometry import Axis

_NAMESPACE = "{http://www.ismrm.org/ISMRMRD}"
_MATRIX_MAX = 1 << 16
_AXES = {"contrast": "contrast", "phase": "cardiac_phase", "repetition": "repetition", "set": "set"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoding space; sizes are ``(z, y, x)``.

    Attributes
    ----------
    trajectory : str
        ``cartesian``, ``radial``, ``goldenangle``, ``spiral``, ``epi``, ``other``.
    encoded_shape, recon_shape : (int, int, int)
        Matrix of k-space, and of the image wanted.
    encoded_mm, recon_mm : (float, float, float)
        Their fields of view.
    centers : (int, int)
        The encoding steps 2 and 1 of zero frequency.
    acceleration : (int, int)
        Of kz and ky, as the header states it.
    """

    trajectory: str
    encoded_shape: tuple[int, int, int]
    recon_shape: tuple[int, int, int]
    encoded_mm: tuple[float, float, float]
    recon_mm: tuple[float, float, float]
    centers: tuple[int, int]
    acceleration: tuple[int, int]


@dataclass(frozen=True, slots=True)
class IsmrmrdHeader:
    """What the header says.

    Attributes
    ----------
    encodings : tuple of Encoding
    relative_receiver_noise_bandwidth : float or None
    echo_times_ms, repetition_times_ms : tuple of float
    """

    encodings: tuple[Encoding, ...]
    relative_receiver_noise_bandwidth: float | None = None
    echo_times_ms: tuple[float, ...] = ()
    repetition_times_ms: tuple[float, ...] = ()

    def axis(self, counter: str, values: Sequence[int]) -> Axis:
        """The axis of a counter: contrasts by their echo times where the header has one for each."""
        if counter == "contrast" and len(self.echo_times_ms) > max(values):
            return Axis("echo_time", tuple(self.echo_times_ms[value] for value in values), "ms")
        return Axis(_AXES[counter], tuple(float(value) for value in values), "")


def parse_header(text: bytes | str) -> IsmrmrdHeader:
    """Read the XML header.

    Raises
    ------
    InputError
        It is not well-formed, or an encoding lacks what reconstruction needs.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"The ISMRMRD header is not well-formed XML: {error}.") from error
    encodings = tuple(_encoding(node) for node in root.findall(_path("encoding")))
    if not encodings:
        raise InputError("The ISMRMRD header describes no encoding.")
    bandwidth = root.find(_path("acquisitionSystemInformation/relativeReceiverNoiseBandwidth"))
    times = [
        tuple(_number(node, name) for node in root.findall(_path(f"sequenceParameters/{name}")))
        for name in ("TE", "TR")
    ]
    return IsmrmrdHeader(
        encodings, None if bandwidth is None else _number(bandwidth, "relativeReceiverNoiseBandwidth"), *times
    )


def _encoding(node: ElementTree.Element) -> Encoding:
    trajectory = node.findtext(_path("trajectory"), "").strip().lower()
    if not trajectory:
        raise InputError("An encoding of the ISMRMRD header states no trajectory.")
    shapes, extents = [], []
    for space in ("encodedSpace", "reconSpace"):
        sizes = [
            _number(node.find(_path(f"{space}/matrixSize/{axis}")), f"{space} matrixSize {axis}") for axis in "zyx"
        ]
        lengths = [
            _number(node.find(_path(f"{space}/fieldOfView_mm/{axis}")), f"{space} fieldOfView_mm {axis}")
            for axis in "zyx"
        ]
        if not all(1 <= size <= _MATRIX_MAX and size == int(size) for size in sizes) or min(lengths) <= 0:
            raise InputError(f"{space}: a matrix of {sizes} over {lengths} mm (z, y, x) is none.")
        shapes.append((int(sizes[0]), int(sizes[1]), int(sizes[2])))
        extents.append((lengths[0], lengths[1], lengths[2]))
    centers = []
    for axis, limit in ((0, "kspace_encoding_step_2"), (1, "kspace_encoding_step_1")):
        center = node.find(_path(f"encodingLimits/{limit}/center"))
        centers.append(shapes[0][axis] // 2 if center is None else int(_number(center, f"{limit} center")))
    factor = "parallelImaging/accelerationFactor/kspace_encoding_step_"
    factors = [node.find(_path(factor + step)) for step in "21"]
    acceleration = [1 if each is None else max(1, int(_number(each, "accelerationFactor"))) for each in factors]
    return Encoding(
        trajectory, shapes[0], shapes[1], extents[0], extents[1], (centers[0], centers[1]),
        (acceleration[0], acceleration[1]),
    )  # fmt: skip


def _path(path: str) -> str:
    return "/".join(_NAMESPACE + part for part in path.split("/"))


def _number(node: ElementTree.Element | None, name: str) -> float:
    try:
        value = float((node.text or "") if node is not None else "")
    except ValueError as error:
        raise InputError(f"The ISMRMRD header has no number for {name}.", found=name) from error
    if not math.isfinite(value):
        raise InputError(f"The ISMRMRD header has no finite number for {name}.", found=name)
    return value
