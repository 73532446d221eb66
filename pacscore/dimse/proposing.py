"""Which presentation contexts are asked for, so that the peer's answer says of each object how it can travel.

To send, each SOP class and stored transfer syntax has a context of its own, one for the uncompressed syntaxes, and one
for those that frames can be encoded in without loss. An association has room for 128 (PS3.8 9.3.2.2); what does not
fit waits for another association.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pynetdicom.sop_class import _STORAGE_CLASSES

from pacscore.dicom.encoding import encodable_syntaxes
from pacscore.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE, all_transfer_syntaxes

CONTEXT_COUNT_MAX = 128  # PS3.8 9.3.2.2: odd identifiers from 1 to 255.
UNCOMPRESSED = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
_GROUP_COUNT_MAX = (CONTEXT_COUNT_MAX - 1) // 2  # Two contexts for each class, and one for the request.
_COMMON = (
    "CTImageStorage",
    "EnhancedCTImageStorage",
    "MRImageStorage",
    "EnhancedMRImageStorage",
    "PositronEmissionTomographyImageStorage",
    "EnhancedPETImageStorage",
    "NuclearMedicineImageStorage",
    "ComputedRadiographyImageStorage",
    "DigitalXRayImageStorageForPresentation",
    "DigitalMammographyXRayImageStorageForPresentation",
    "BreastTomosynthesisImageStorage",
    "XRayAngiographicImageStorage",
    "XRayRadiofluoroscopicImageStorage",
    "UltrasoundImageStorage",
    "UltrasoundMultiFrameImageStorage",
    "SecondaryCaptureImageStorage",
    "MultiFrameGrayscaleByteSecondaryCaptureImageStorage",
    "MultiFrameGrayscaleWordSecondaryCaptureImageStorage",
    "MultiFrameTrueColorSecondaryCaptureImageStorage",
    "VLWholeSlideMicroscopyImageStorage",
    "VLPhotographicImageStorage",
    "VLEndoscopicImageStorage",
    "SegmentationStorage",
    "ParametricMapStorage",
    "RTStructureSetStorage",
    "RTPlanStorage",
    "RTDoseStorage",
    "RTImageStorage",
    "BasicTextSRStorage",
    "EnhancedSRStorage",
    "ComprehensiveSRStorage",
    "Comprehensive3DSRStorage",
    "KeyObjectSelectionDocumentStorage",
    "GrayscaleSoftcopyPresentationStateStorage",
    "RawDataStorage",
    "EncapsulatedPDFStorage",
    "DeformableSpatialRegistrationStorage",
    "SpatialRegistrationStorage",
)

_LIKELY = tuple(
    f"{IMPLICIT_LITTLE}.{suffix}" for suffix in ("4.70", "4.90", "4.80", "5", "4.50", "4.91", "4.51", "4.81")
)

Kind = tuple[str, str]
"""SOP Class UID and stored Transfer Syntax UID of an object."""
Context = tuple[str, tuple[str, ...]]
"""SOP Class UID and the transfer syntaxes proposed for it."""


def contexts_of(kinds: Iterable[Kind]) -> Iterator[Context]:
    """What to propose for each kind of object, as stored first; none comes twice.

    Examples
    --------
    >>> [len(syntaxes) for _, syntaxes in contexts_of([("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")])][:2]
    [1, 1]
    """
    told: set[Context] = set()
    for sop_class_uid, stored in kinds:
        others = tuple(each for each in UNCOMPRESSED if each != stored)
        encoded = tuple(each for each in encodable_syntaxes() if each != stored)
        for syntaxes in ((stored,), others, encoded):
            context = (sop_class_uid, syntaxes)
            if syntaxes and context not in told:
                told.add(context)
                yield context


class Proposal:
    """The kinds of object that one association is asked for.

    Parameters
    ----------
    first
        What is needed now: it is certainly among them.
    others
        What will be needed, as far as there is room.
    """

    def __init__(self, first: Kind, others: Iterable[Kind]) -> None:
        self.kinds: set[Kind] = set()
        self.contexts: dict[Context, None] = {}
        for kind in (first, *others):
            wanted = dict.fromkeys(contexts_of([kind]))
            if len(self.contexts | wanted) > CONTEXT_COUNT_MAX:
                break
            self.contexts |= wanted
            self.kinds.add(kind)


def usual_classes() -> list[str]:
    """Every storage class of the Standard, the common ones first."""
    known = {name: str(uid) for name, uid in _STORAGE_CLASSES.items()}
    return list(dict.fromkeys([known[name] for name in _COMMON if name in known] + list(known.values())))


def class_groups(sop_class_uids: Sequence[str]) -> list[Sequence[str]]:
    """Storage classes in such groups as one association has room for, if it is to fetch objects of them (C-GET)."""
    size = _GROUP_COUNT_MAX
    return [sop_class_uids[at : at + size] for at in range(0, len(sop_class_uids), size)]


def contexts_to_get(sop_class_uids: Sequence[str]) -> Iterator[Context]:
    """Contexts in which another node may send objects of a group of classes.

    The acceptor of a context chooses one transfer syntax of it (PS3.8 9.3.3.2). So that objects come as they are
    stored, each syntax has a context of its own as far as there is room; the rest share one.
    """
    compressed = [each.uid for each in all_transfer_syntaxes() if each.encapsulated]
    compressed.sort(key=lambda uid: _LIKELY.index(uid) if uid in _LIKELY else len(_LIKELY))
    room = (CONTEXT_COUNT_MAX - 1) // len(sop_class_uids)
    own = max(0, min(room - 3, len(compressed)))
    groups: list[tuple[str, ...]] = [UNCOMPRESSED] if room < 3 else [(each,) for each in UNCOMPRESSED]
    groups += [(each,) for each in compressed[:own]]
    rest = tuple(compressed[own:])
    for sop_class_uid in sop_class_uids:
        yield from ((sop_class_uid, syntaxes) for syntaxes in (*groups, rest) if syntaxes)
