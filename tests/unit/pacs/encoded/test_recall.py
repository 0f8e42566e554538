"""What is remembered of the instance before changes nothing: read in a row, each is what it is alone."""

from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacs.encoded import EncodedError, Instance, Limits, Recall, read_instance

from .samples import (
    IMPLICIT,
    SEQUENCE_END,
    element,
    implicit,
    item,
    packaged,
    packaged_files,
    part10,
    shared_files,
    undefined,
)
from .test_fuzz import _EDIT, LIMITS, SEEDS, _edited, _fuzz

NAME, ID = element(0x00100010, "PN", b"A^B"), element(0x00100020, "LO", b"17")
COMMENT, PIXELS = element(0x00104000, "LT", b"as always"), element(0x7FE00010, "OW", bytes(64))


def _read(data: bytes, recall: Recall | None = None, limits: Limits = LIMITS) -> Instance | str:
    try:
        return read_instance(data, limits=limits, recall=recall)
    except EncodedError as error:
        return str(error)


def _in_a_row(*files: bytes, limits: Limits = LIMITS) -> list[Instance]:
    """Each as it is alone, also when those after it have been read."""
    recall = Recall()
    read = [_read(data, recall, limits) for data in files]
    alone = [_read(data, None, limits) for data in files]
    assert read == alone
    assert [list(r.attributes) for r in read if isinstance(r, Instance)] == [
        list(a.attributes) for a in alone if isinstance(a, Instance)
    ]
    return [r for r in read if isinstance(r, Instance)]


def _shared(one: Instance, other: Instance) -> set[str]:
    """The elements that are the same object in both."""
    return {key for key, e in one.attributes.items() if other.attributes.get(key) is e}


def test_real_files_in_a_row() -> None:
    """Each of them twice: after another, and after itself."""
    files = (path.read_bytes()[: 256 << 10] for path in packaged_files() + shared_files())
    recall, kept = Recall(), 0
    for data in files:
        alone = _read(data)
        assert _read(data, recall) == alone
        again = _read(data, recall)
        assert again == alone
        if isinstance(again, Instance):
            kept += len(_shared(again, _read(data, recall)))  # type: ignore[arg-type]  # it is one again
    assert kept > 1000


def test_slices_of_a_series_share_most() -> None:
    paths = [path for path in shared_files() if path.parent.name == "ct-head-philips"]
    read = _in_a_row(*(path.read_bytes() for path in paths))
    shares = [len(_shared(one, other)) / len(one.attributes) for one, other in pairwise(read)]
    assert not shares or median(shares) > 0.8


@_fuzz
@given(
    st.sampled_from(SEEDS),
    st.lists(st.lists(_EDIT, max_size=4), min_size=1, max_size=4),
    st.sampled_from((LIMITS, Limits(json_bytes_max=70 << 10), Limits(elements_max=9_000, notes_max=2))),
)
def test_edited_files_in_a_row(
    seed: bytes, edits: list[list[tuple[str, int, bytes]]], limits: Limits
) -> None:
    edited = [_edited(seed, each, len(seed) + 100) for each in edits]
    _in_a_row(seed, *edited, seed, edited[-1], limits=limits)


@settings(_fuzz, max_examples=30)
@given(st.permutations(SEEDS))
def test_files_of_all_kinds_in_a_row(files: list[bytes]) -> None:
    _in_a_row(*files, *files[::2])


@_fuzz
@given(st.lists(st.lists(st.sampled_from((0x00090010, 0x00091001, 0x00100010, 0x00100020, 0x00280120)),
                         max_size=6), min_size=2, max_size=6), st.data())  # fmt: skip
def test_any_elements_in_a_row(instances: list[list[int]], data: st.DataObject) -> None:
    """Missing, doubled, out of order, with other values: whatever stands beside an element."""
    values = st.sampled_from((b"GEMS_IDEN_01", b"SPI", b"17", b"", b"\xc0\xc1"))
    _in_a_row(
        *(part10(*(implicit(tag, data.draw(values)) for tag in tags), syntax=IMPLICIT) for tags in instances)
    )


def test_what_differs_is_read() -> None:
    others = (ID, element(0x00100020, "LO", b"18"), b"")
    one, other, last = _in_a_row(*(part10(NAME, each, COMMENT, PIXELS) for each in others))
    assert _shared(one, other) == {"00080016", "00080018", "00100010", "00104000"}
    assert _shared(other, last) == {"00080016", "00080018", "00100010"}
    assert other.attributes["00100020"]["Value"] == ["18"]
    assert "00100020" not in last.attributes


def test_a_value_that_returns_is_read_right() -> None:
    """Runs are joined while they come again, and parted where they do not."""
    others = [element(0x00100020, "LO", str(n).encode()) for n in (17, 17, 17, 18, 17, 17)]
    read = _in_a_row(*(part10(NAME, each, COMMENT) for each in others))
    assert [r.attributes["00100020"]["Value"] for r in read] == [["17"]] * 3 + [["18"]] + [["17"]] * 2


def test_a_private_element_is_read_by_its_own_creator() -> None:
    """(0019,xx0A) is an LO of one creator and a US of another, and of none unknown."""
    private = implicit(0x0019100A, b"12")
    elements = [
        (implicit(0x00190010, b"SIEMENS MR HEADER "), private), (implicit(0x00190010, b"SIEMENS MR HEADER "), private),
        (implicit(0x00190010, b"GEMS_ACQU_01"), private), (private,), (private,),
        (implicit(0x00190010, b"SIEMENS MR HEADER "), private),
    ]  # fmt: skip
    read = _in_a_row(*(part10(*each, syntax=IMPLICIT) for each in elements))
    vrs = [r.attributes["0019100A"]["vr"] for r in read]
    assert vrs == ["US", "US", vrs[2], "UN", "UN", "US"]
    assert vrs[2] != "US"


def test_a_private_element_without_the_creator_that_came_between() -> None:
    unknown, name = implicit(0x0019100A, b"12"), implicit(0x00190010, b"SIEMENS MR HEADER ")
    read = _in_a_row(*(part10(*each, syntax=IMPLICIT) for each in ((unknown,), (name, unknown), (unknown,))))
    assert [r.attributes["0019100A"]["vr"] for r in read] == ["UN", "US", "UN"]


@pytest.mark.parametrize("declared", [b"ISO_IR 100", b"GB18030"])
def test_text_is_decoded_with_its_whole_instance(declared: bytes) -> None:
    """The same bytes are Chinese beside Chinese, and a degree sign beside none."""
    degree, name = element(0x00104000, "LT", b"30\xb0 "), element(0x00100010, "PN", "张^三".encode("gb18030"))
    alone, beside, again = _in_a_row(
        part10(degree, charset=declared),
        part10(name, degree, charset=declared),
        part10(degree, charset=declared),
    )
    assert alone.attributes == again.attributes
    assert "00104000" not in _shared(alone, beside) | _shared(beside, again)


def test_words_take_their_sign_from_their_instance() -> None:
    padding = implicit(0x00280120, b"\x00\x80")
    signed, unsigned = (implicit(0x00280103, sign) for sign in (b"\1\0", b"\0\0"))
    read = _in_a_row(*(part10(sign, padding, syntax=IMPLICIT) for sign in (signed, unsigned, signed)))
    assert [r.attributes["00280120"]["vr"] for r in read] == ["SS", "US", "SS"]


def test_bulk_values_lie_in_their_own_instance() -> None:
    """Also in sequences: whoever sets a BulkDataURI must not set it for others."""
    curve = element(0x54001010, "OW", bytes(8 << 10))
    inside = undefined(0x54000100, "SQ", item(curve))
    one, other = _in_a_row(part10(NAME, inside, PIXELS), part10(NAME, ID, inside, PIXELS))
    assert _shared(one, other) == {"00080016", "00080018", "00100010"}
    assert [b.offset for b in one.bulk] != [b.offset for b in other.bulk]
    assert [e["BulkDataURI"] for e in one.pointers] == ["/54000100/0/54001010", "/7FE00010"]
    assert one.pixels is not None
    assert other.pixels is not None
    assert one.pixels.offset + len(ID) == other.pixels.offset


def test_a_sequence_is_compared_whole() -> None:
    same, other = (
        undefined(0x00081140, "SQ", item(element(0x00081155, "UI", uid))) for uid in (b"1.2", b"1.3")
    )
    first, second, third = _in_a_row(part10(same, NAME), part10(same, NAME), part10(other, NAME))
    assert "00081140" in _shared(first, second)
    assert third.attributes["00081140"]["Value"][0]["00081155"]["Value"] == ["1.3"]


def test_damage_is_noted_each_time() -> None:
    unclosed = undefined(0x00081140, "SQ", item(ID))[: -len(SEQUENCE_END)]
    for read in (_in_a_row(*[part10(unclosed, NAME)] * 3), _in_a_row(*[part10(ID, NAME, ID)] * 3)):
        assert read[0].notes
        assert read[0].notes == read[2].notes


def test_another_encoding_or_limit_is_another_reading() -> None:
    recall, data = Recall(), part10(NAME, element(0x00420011, "OB", bytes(600)), COMMENT)
    inline = read_instance(data, recall=recall)
    bulk = read_instance(data, recall=recall, limits=Limits(inline_bytes_max=100))
    assert "InlineBinary" in inline.attributes["00420011"]
    assert "BulkDataURI" in bulk.attributes["00420011"]
    _in_a_row(packaged("MR_small.dcm"), packaged("MR_small_implicit.dcm"), packaged("MR_small_bigendian.dcm"))
