"""What we write as a data set, pydicom and we read as the same (PS3.5 7.1, 6.1.2)."""

from __future__ import annotations

import io
import warnings

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from pacs.encoded import EncodedError, read_identifier, write_dataset

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
NAMES = {
    "": "Wang^XiaoDong",
    "ISO_IR 100": "Buc^Jérôme",
    "ISO_IR 144": "Люкceмбypг",
    "ISO_IR 126": "Διονυσιος",
    "GB18030": "Wang^XiaoDong=王^小东",
    "GBK": "Wang^XiaoDong=王^小东",
    "ISO_IR 192": "Wang^XiaoDong=王^小東=",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
    "\\ISO 2022 IR 58": "Zhang^XiaoDong=张^小东=",
}
SAMPLE = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
    "00080020": {"vr": "DA", "Value": ["20260102"]},
    "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
    "00080090": {"vr": "PN"},
    "00081110": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.2.3"]}}, {}]},
    "00180050": {"vr": "DS", "Value": [0.123456789012347, 5.0, 1e-20]},
    "00200013": {"vr": "IS", "Value": [7]},
    "00280010": {"vr": "US", "Value": [512]},
    "00280009": {"vr": "AT", "Value": ["00181063"]},
    "00420011": {"vr": "OB", "InlineBinary": "AQIDBA=="},
}


def by_pydicom(encoded: bytes, *, implicit: bool) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(preamble(implicit) + encoded), force=True)
        dataset.decode()
    return dataset


def preamble(implicit: bool) -> bytes:
    syntax = (IMPLICIT if implicit else EXPLICIT).encode()
    syntax += b"\0" * (len(syntax) % 2)
    return bytes(128) + b"DICM\x02\x00\x10\x00UI" + len(syntax).to_bytes(2, "little") + syntax


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_pydicom_reads_what_we_write(syntax: str) -> None:
    encoded = write_dataset(SAMPLE, syntax)
    found = by_pydicom(encoded, implicit=syntax == IMPLICIT)
    assert found.ModalitiesInStudy == ["CT", "MR"]
    assert [str(v) for v in found.SliceThickness] == ["0.12345678901235", "5", "1e-20"]
    assert [len(i) for i in found.ReferencedStudySequence] == [1, 0]
    assert (found.Rows, found.InstanceNumber, found.FrameIncrementPointer) == (512, 7, 0x00181063)
    assert found.EncapsulatedDocument == b"\1\2\3\4"
    assert "SpecificCharacterSet" not in found
    read = read_identifier(encoded, syntax)
    assert read.pop("00180050")["Value"][1:] == [5, 1e-20]
    assert read == {tag: element for tag, element in SAMPLE.items() if tag != "00180050"}


@pytest.mark.parametrize("charset", NAMES)
def test_names_in_the_character_set_that_is_asked_for(charset: str) -> None:
    groups = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), NAMES[charset].split("="), strict=False))
    name = {"00100010": {"vr": "PN", "Value": [{k: v for k, v in groups.items() if v}]}}
    encoded = write_dataset(name, EXPLICIT, charset)
    found = by_pydicom(encoded, implicit=False)
    seen = str(found.PatientName).replace(
        "\x1b$)A", ""
    )  # pydicom leaves ISO-IR 58's escape sequence in the text
    assert seen.rstrip("=") == NAMES[charset].rstrip("=")
    declared = found.get("SpecificCharacterSet") or ""
    assert (declared if isinstance(declared, str) else "\\".join(declared)) == charset
    assert read_identifier(encoded, EXPLICIT)["00100010"] == name["00100010"]


@pytest.mark.parametrize("charset", ["", "ISO_IR 100", "ISO_IR 144", "\\ISO 2022 IR 87", "NO SUCH SET"])
def test_what_cannot_be_written_there_comes_in_utf_8(charset: str) -> None:
    name = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Çelik", "Ideographic": "王^小东𠀀"}]}}
    encoded = write_dataset(name, IMPLICIT, charset)
    found = by_pydicom(encoded, implicit=True)
    assert found.SpecificCharacterSet == "ISO_IR 192"
    assert str(found.PatientName) == "Çelik=王^小东𠀀"


@pytest.mark.parametrize("cut", range(1, 34))
def test_a_cut_identifier_is_refused(cut: int) -> None:
    encoded = write_dataset({tag: SAMPLE[tag] for tag in ("00080016", "00081110")}, EXPLICIT)
    with pytest.raises(EncodedError):
        read_identifier(encoded[:-cut], EXPLICIT)


def test_nothing_is_an_empty_identifier() -> None:
    assert read_identifier(b"", EXPLICIT) == {}


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("value", [["1.4"], []])
def test_an_identifier_that_begins_with_file_meta_information(syntax: str, value: list[str]) -> None:
    """Orthanc 1.10 asks for an instance by (0002,0003) as well."""
    uid = {"vr": "UI", "Value": value} if value else {"vr": "UI"}
    asked = {"00020003": uid, "00080018": uid, "0020000D": {"vr": "UI", "Value": ["1.2.3"]}}
    read = read_identifier(write_dataset(asked, syntax), syntax)
    assert read == {tag: element for tag, element in asked.items() if tag != "00020003"}
