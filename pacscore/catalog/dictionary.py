"""Keyword, tag and VR of public attributes: the catalog's own list first, the dictionary when a query needs it."""

from __future__ import annotations

from functools import lru_cache

from pacscore.catalog.attributes import ATTRIBUTES, BY_KEYWORD

# Asked for so often that the whole dictionary, a third of a second to load, should not be needed for them.
_MORE = {
    "SOPInstanceUID": (0x00080018, "UI"),
    "SOPClassUID": (0x00080016, "UI"),
    "InstanceNumber": (0x00200013, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "BitsAllocated": (0x00280100, "US"),
    "NumberOfFrames": (0x00280008, "IS"),
    "ModalitiesInStudy": (0x00080061, "CS"),
    "SOPClassesInStudy": (0x00080062, "UI"),
    "NumberOfPatientRelatedStudies": (0x00201200, "IS"),
    "NumberOfPatientRelatedSeries": (0x00201202, "IS"),
    "NumberOfPatientRelatedInstances": (0x00201204, "IS"),
    "NumberOfStudyRelatedSeries": (0x00201206, "IS"),
    "NumberOfStudyRelatedInstances": (0x00201208, "IS"),
    "NumberOfSeriesRelatedInstances": (0x00201209, "IS"),
    "RequestAttributesSequence": (0x00400275, "SQ"),
    "ScheduledProcedureStepID": (0x00400009, "SH"),
    "RequestedProcedureID": (0x00401001, "SH"),
    "ProcedureCodeSequence": (0x00081032, "SQ"),
    "CodeValue": (0x00080100, "SH"),
    "CodingSchemeDesignator": (0x00080102, "SH"),
    "CodeMeaning": (0x00080104, "LO"),
    "ImageType": (0x00080008, "CS"),
    "KVP": (0x00180060, "DS"),
    "EchoTime": (0x00180081, "DS"),
    "RepetitionTime": (0x00180080, "DS"),
    "ConvolutionKernel": (0x00181210, "SH"),
    "TransferSyntaxUID": (0x00020010, "UI"),
}
_BY_TAG = {attribute.tag: attribute.keyword for attribute in ATTRIBUTES} | {t: k for k, (t, _) in _MORE.items()}


@lru_cache(maxsize=4096)
def vr_of_keyword(keyword: str) -> str | None:
    """The VR of a keyword (the first, where the dictionary names several); None for no keyword."""
    if keyword in BY_KEYWORD:
        return BY_KEYWORD[keyword].vr
    if keyword in _MORE:
        return _MORE[keyword][1]
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    return None if tag is None else str(dictionary_VR(tag)).split(" ", 1)[0]


@lru_cache(maxsize=4096)
def keyword_of_tag(tag: int) -> str | None:
    """The keyword of a tag; None when the dictionary does not know it."""
    if tag in _BY_TAG:
        return _BY_TAG[tag]
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or None
