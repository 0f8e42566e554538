"""Our JSON is pydicom's, but for differences that are meant, each named here with its reason."""

import base64
import logging
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from pacs.encoded import EncodedError, Limits, read_instance

from .samples import name_of, packaged, packaged_files, shared_files

Json = dict[str, Any]
EVERYTHING_INLINE = Limits(
    inline_bytes_max=1 << 30, lut_bytes_max=1 << 30, text_bytes_max=1 << 30, number_bytes_max=1 << 30
)
PIXELS = ("7FE00008", "7FE00009", "7FE00010")
BINARY = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
# pydicom gives up on these: an IS of "1A" (ours stays text), a J2K stream cut off (ours keeps the header).
UNREADABLE_BY_PYDICOM = ("badVR.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm")
# Its first byte is a stray space, so that no element stands where one should: ours refuses it.
UNREADABLE_BY_US = ("no_meta.dcm",)
# A value that ends past the file: pydicom keeps the half that is there, ours leaves out a wrong value.
CUT_SHORT = {"rtplan_truncated.dcm": "300A012C"}


def _by_pydicom(data: bytes) -> tuple[Json, bool]:
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(BytesIO(data), force=True)
            return dataset.to_json_dict(bulk_data_threshold=1 << 30), dataset.original_encoding[1] is False
    finally:
        logging.disable(logging.NOTSET)


def _expected(theirs: Json, *, big: bool) -> Json:
    """pydicom's JSON with the differences that are meant."""
    return {
        key: _expected_element(element, big=big)
        for key, element in theirs.items()
        # PS3.18 F.2.2: no group lengths. Trailing padding (PS3.10 7.2) is no attribute of the instance.
        if not key.endswith("0000") and key != "FFFCFFFC" and key not in PIXELS
    }


def _expected_element(element: Json, *, big: bool) -> Json:
    vr = str(element["vr"])
    if vr == "SQ":
        items = [_expected(item, big=big) for item in element.get("Value", ())]
        return {"vr": vr, "Value": items} if items else {"vr": vr}  # PS3.18 F.2.5: nothing for empty ones
    if big and vr in BINARY and "InlineBinary" in element:
        return {"vr": vr, "InlineBinary": _little(element["InlineBinary"], BINARY[vr])}  # PS3.18 F.2.7
    if "Value" not in element:
        return {"vr": vr} if element.get("InlineBinary", "") == "" else {**element, "vr": vr}
    values = [_expected_value(value, vr) for value in element["Value"]]
    return (
        {"vr": vr, "Value": values} if any(v is not None for v in values) or len(values) > 1 else {"vr": vr}
    )


def _expected_value(value: Any, vr: str) -> Any:
    if vr == "PN":  # PS3.18 F.2.2: only the groups that are not empty
        groups = {name: group.strip() for name, group in value.items() if group.strip()}
        return groups or None
    if isinstance(value, str) and vr in ("AE", "CS", "SH", "LO"):
        value = value.strip(" \0")  # PS3.5 6.2: of each value, on both sides; pydicom: only the whole's end
    return None if value == "" else value  # PS3.18 F.2.5: null for an empty one of several


def _little(encoded: str, size: int) -> str:
    words = base64.b64decode(encoded)
    swapped = b"".join(words[at : at + size][::-1] for at in range(0, len(words), size))
    return base64.b64encode(swapped).decode()


def _without(attributes: Json, *keys: str) -> Json:
    return {
        key: {**element, "Value": [_without(item, *keys) for item in element["Value"]]}
        if element["vr"] == "SQ" and "Value" in element
        else element
        for key, element in attributes.items()
        if key not in keys
    }


def _compare(path: Path) -> None:
    data = path.read_bytes()
    cut = CUT_SHORT.get(path.name, "")
    theirs, big = _by_pydicom(data)
    ours = read_instance(data, limits=EVERYTHING_INLINE).attributes
    assert _without(ours, cut, *PIXELS) == _without(_expected(theirs, big=big), cut)


@pytest.mark.parametrize("path", packaged_files(), ids=name_of)
def test_packaged_file(path: Path) -> None:
    if path.name in UNREADABLE_BY_US:
        with pytest.raises(EncodedError):
            read_instance(path.read_bytes())
    elif path.name not in UNREADABLE_BY_PYDICOM:
        _compare(path)


@pytest.mark.skipif(not shared_files(), reason="the real files beside the repository are not here")
def test_shared_files() -> None:
    for path in shared_files():
        _compare(path)


def test_what_pydicom_cannot_read() -> None:
    assert read_instance(packaged("badVR.dcm")).attributes["00200013"]["vr"] == "IS"
    cut = read_instance(packaged("emri_small_jpeg_2k_lossless_too_short.dcm"))
    assert cut.attributes["00080018"]["Value"]
    assert "fragments:7FE00010" in cut.notes


def test_bulk_values_are_those_that_would_stand_inline() -> None:
    for path in packaged_files():
        if path.name in UNREADABLE_BY_US:
            continue
        data = path.read_bytes()
        instance = read_instance(data, bulk_uri="https://host/bulkdata")
        inline = read_instance(data, limits=EVERYTHING_INLINE).attributes
        for bulk in instance.bulk:
            element = _at(instance.attributes, bulk.path)
            assert element == {"vr": bulk.vr, "BulkDataURI": f"https://host/bulkdata/{bulk.path}"}
            if not instance.big_endian and not instance.deflated:
                stored = data[bulk.offset : bulk.offset + bulk.length]
                assert _at(inline, bulk.path)["InlineBinary"] == base64.b64encode(stored).decode()


def _at(attributes: Json, path: str) -> Json:
    key, *rest = path.split("/")
    while rest:
        attributes = attributes[key]["Value"][int(rest[0])]
        key, *rest = rest[1:]
    found: Json = attributes[key]
    return found
