"""PS3.18 10.4: WADO-RS."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from tests.support.ps318 import DICOM, OCTETS, PROBLEM, SLICES, Held, multipart, parts


@pytest.mark.clause("10.4.1.1.1")
def test_dicom_resources(held: Held) -> None:
    for path, count in ((held.ct.study, SLICES), (held.ct.series, SLICES), (held.ct.path, 1)):
        found = [dcmread(io.BytesIO(content)) for _, content in parts(held.get(path, multipart(DICOM)))]
        assert len({one.SOPInstanceUID for one in found}) == len(found) == count
        assert {one.StudyInstanceUID for one in found} == {held.ct.sent.StudyInstanceUID}
    frames = parts(held.get(held.us.path + "/frames/2,5", multipart(OCTETS)))
    assert len({content for _, content in frames}) == len(frames) == 2
    assert held.get(held.ct.path + "/bulkdata/7FE00010", OCTETS).content == held.ct.sent.PixelData
    elsewhere = held.ct.path.replace(held.ct.study, held.us.study)
    held.refused(held.get(elsewhere, DICOM), 404)


@pytest.mark.clause("10.4.1.1.2")
def test_metadata_resources(held: Held) -> None:
    for path, count in ((held.ct.study, SLICES), (held.ct.series, SLICES), (held.ct.path, 1)):
        assert len(held.get(path + "/metadata").json()) == count
    (told,) = held.get(held.ct.path + "/metadata").json()
    sent = {f"{element.tag.group:04X}{element.tag.element:04X}" for element in held.ct.sent}
    assert sent - {"FFFCFFFC"} == told.keys() - {"FFFCFFFC"}


@pytest.mark.clause("10.4.1.1.3")
def test_rendered_resources(held: Held) -> None:
    for path in (held.ct.study, held.ct.series, held.ct.path, held.us.path + "/frames/3"):
        assert held.get(path + "/rendered").headers["content-type"] == "image/jpeg"
    for path, count in (
        (held.ct.study, SLICES),
        (held.ct.series, SLICES),
        (held.us.path, 30),
        (held.ct.path, 1),
    ):
        found = parts(held.get(path + "/rendered", multipart("image/png"), viewport="32,32"))
        assert {part["content-type"] for part, _ in found} == {"image/png"}
        assert {max(Image.open(io.BytesIO(content)).size) for _, content in found} == {32}
        assert len(found) == count


@pytest.mark.clause("10.4.1.1.3")
def test_rendered_frames(held: Held) -> None:
    """Each in a part, in the order in which they were asked for; by itself only one, or as a loop."""
    path = held.us.path + "/frames/{}/rendered"
    found = parts(held.get(path.format("9,2"), multipart("image/png")))
    for (_, content), number in zip(found, (9, 2), strict=True):
        assert content == held.get(path.format(number), "image/png").content
    assert len(parts(held.get(path.format("1,2"), "*/*"))) == 2
    held.refused(held.get(path.format("1,2"), "image/png"), 406)
    loop = Image.open(io.BytesIO(held.get(path.format("1,9,17"), "image/gif").content))
    assert 1 < loop.n_frames <= 3  # type: ignore[attr-defined]
    for wrong, status in (("31", 404), ("1,31", 404), ("0", 400), ("a", 400)):
        held.refused(held.get(path.format(wrong), multipart("image/png")), status)


@pytest.mark.clause("10.4.1.1.4")
def test_thumbnails(held: Held) -> None:
    """All of them, since there is one; a single picture."""
    for path in (held.us.study, held.us.series, held.us.path, held.us.path + "/frames/7"):
        answer = held.get(path + "/thumbnail")
        assert answer.headers["content-type"] == "image/jpeg"
        assert max(Image.open(io.BytesIO(answer.content)).size) <= 256
        held.refused(held.get(path + "/thumbnail", "image/png"), 406)
    first, last = (
        np.asarray(Image.open(io.BytesIO(held.get(f"{held.us.path}/frames/{n}/thumbnail").content)))
        for n in (1, 30)
    )
    assert not np.array_equal(first, last)
    held.refused(held.get(held.us.path + "/frames/31/thumbnail"), 404)


@pytest.mark.clause("10.4.3.1")
def test_status_codes(held: Held) -> None:
    assert held.get(held.ct.path).status_code == 200
    for path, accept, status in (
        ("/frames/0", OCTETS, 400), ("/frames/2", OCTETS, 404), ("/bulkdata/00420011", OCTETS, 404),
        ("/bulkdata/7FE00010", "text/plain", 406), ("", "text/plain", 406), ("/metadata", "image/png", 406),
        ("9", DICOM, 404),
    ):  # fmt: skip
        answer = held.get(held.ct.path + path, accept)
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), path


@pytest.mark.clause("10.4.3.3.5")
def test_bulk_data_is_named_as_in_the_metadata(held: Held) -> None:
    for one, tag in ((held.ct, "7FE00010"), (held.odd, "00660016")):
        (told,) = held.get(one.path + "/metadata").json()
        ((part, content),) = parts(held.get(told[tag]["BulkDataURI"], multipart(OCTETS)))
        assert part["content-location"] == told[tag]["BulkDataURI"]
        assert content == one.sent[int(tag, 16)].value
