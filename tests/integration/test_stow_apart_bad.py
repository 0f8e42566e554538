"""STOW-RS of metadata and bulk data that cannot be put together: told with the reason, and no other is lost by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.support.apart import (
    FAILED,
    JSON,
    OCTETS,
    OTHERS,
    STORED,
    XML,
    Apart,
    Part,
    apart,
    body,
    bulk,
    location,
    metadata,
    names,
    not_stored,
    post,
    problem,
    stored,
    told,
)
from tests.support.server import Server
from tests.support.watch import whole

MIB = 1024 * 1024
ROOT = "1.2.840.10008.1.2.4."


@pytest.fixture(scope="module", autouse=True)
def _whole_at_the_end(server: Server) -> Iterator[None]:
    yield
    whole(server)


@pytest.mark.parametrize(("vr", "content"), [("UT", b"\xff\xfe"), ("FD", bytes(12)), ("OW", b"odd")])
def test_bulk_data_that_their_vr_cannot_have(server: Server, vr: str, content: bytes) -> None:
    one = apart("rtplan.dcm")
    one.attributes["00091010"] = {"vr": vr, "BulkDataURI": "some"}
    answer = post(server, body([*metadata(one.attributes), bulk("some", content)]))
    assert answer.status_code == 409
    assert told(answer, FAILED)[0][:2] == (one.instance, 0xC000)
    not_stored(server, one)


def test_no_one_costs_another(server: Server) -> None:
    """Each is told with its reason (PS3.18 table I.2-2), and the good ones are stored."""
    good, last = apart("CT_small.dcm"), apart("MR_small.dcm")
    bad: list[tuple[Apart, dict[str, Any], list[Part], int]] = []

    def wrong(reason: int, parts: Any = None, source: str = "CT_small.dcm", changed: Any = None) -> None:
        one = apart(source)
        attributes = {k: v for k, v in (one.attributes | (changed or {})).items() if v is not None}
        bad.append((one, attributes, one.parts() if parts is None else parts(one), reason))

    wrong(0xC000, lambda one: [])  # missing
    wrong(0xC000, lambda one: one.parts() * 2)  # doubled
    wrong(0xC000, lambda one: [bulk(*location(one), one.frames[0][:-2])])  # cut
    wrong(0xC000, lambda one: [bulk(*location(one), b"no JPEG", "image/jpeg")])
    wrong(0xC000, lambda one: one.parts("image/jpeg"), "MR_small_jp2klossless.dcm")
    wrong(0xC000, lambda one: one.parts("image/jpeg")[:-1], "examples_ybr_color.dcm")  # a frame is missing
    wrong(0xC000, lambda one: one.parts("image/jls"), "MR_small_jpeg_ls_lossless.dcm",
          changed={"00280010": {"vr": "US", "Value": [1]}})  # fmt: skip
    wrong(0xC122, lambda one: one.parts(f"image/jpeg; transfer-syntax={ROOT}90"))
    wrong(0xC122, lambda one: one.parts(f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.2"))
    wrong(0xC122, lambda one: one.parts("image/jpeg; transfer-syntax=1.2.3.4"))
    wrong(0xC000, changed={"00280010": None})
    wrong(0xC000, changed={"00100010": {"vr": "XX"}})
    wrong(0xC000, changed={"00101010": {"vr": "US", "Value": [70000]}})
    wrong(0xC000, changed={"0020000E": {"vr": "UI"}})
    wrong(0xC000, changed={"0020000E": {"vr": "IS", "Value": ["007"]}})
    wrong(0xC000, changed={"0020000D": {"vr": "UI", "Value": ["../../etc"]}})
    wrong(0xC000, changed={"00420011": {"vr": "OB", "BulkDataURI": "file:///etc/passwd"}})
    wrong(0xC000, changed={"00420011": {"vr": "OB", "BulkDataURI": f"{server.url}/healthz"}})
    wrong(0xC000, changed={"00420011": {"vr": "OB", "BulkDataURI": "http://[::1"}})
    several = metadata(good.attributes, *(attributes for _, attributes, _, _ in bad), last.attributes)
    several += good.parts() + [part for _, _, parts, _ in bad for part in parts] + last.parts()
    answer = post(server, body(several))
    assert answer.status_code == 202, answer.text
    assert names(answer, STORED) == [good.instance, last.instance]
    assert [(name, reason) for name, reason, _ in told(answer, FAILED)] == [
        (one.instance, reason) for one, _, _, reason in bad
    ]
    assert all(comment for _, _, comment in told(answer, FAILED))
    stored(server, good, last)
    not_stored(server, *(one for one, _, _, _ in bad))


@pytest.mark.parametrize("without", ["00080016", "00080018"])
def test_what_has_no_name_is_told_apart(server: Server, without: str) -> None:
    one = apart("CT_small.dcm")
    del one.attributes[without]
    answer = post(server, body(metadata(one.attributes) + one.parts()))
    assert answer.status_code == 409
    assert told(answer, OTHERS)[0][1] == 0xC000
    not_stored(server, one)


def test_a_part_that_nobody_needs_is_told(server: Server) -> None:
    one = apart("CT_small.dcm")
    answer = post(server, body(metadata(one.attributes) + one.parts() + [bulk("another", b"x")]))
    assert answer.status_code == 202
    assert names(answer, STORED) == [one.instance]
    assert [reason for _, reason, _ in told(answer, OTHERS)] == [0xC000]
    stored(server, one)


def test_of_another_study_than_the_url_says(server: Server) -> None:
    one = apart("CT_small.dcm")
    answer = post(server, body(metadata(one.attributes) + one.parts()), path=f"/{generate_uid()}")
    assert answer.status_code == 409
    assert told(answer, FAILED)[0][:2] == (one.instance, 0xA900)
    not_stored(server, one)


def test_one_bad_document_of_xml_does_not_lose_the_others(server: Server) -> None:
    good = apart("CT_small.dcm")
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><NativeDicomModel>&a;</NativeDicomModel>'
    parts = [({"Content-Type": XML}, bomb), *metadata(good.attributes, xml=True), *good.parts()]
    answer = post(server, body(parts), XML)
    assert answer.status_code == 202
    assert "document type" in told(answer, OTHERS)[0][2]
    stored(server, good)


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (b"", 400), (b"[", 400), (b"[5]", 400), (b"\xff", 400), (b"[" * 900_000, 400), (b'{"a":' * 500_000, 400),
        (b"[" + b"{}," * 1_100_000 + b"{}]", 413), (b'["' + b"x" * 33 * MIB + b'"]', 413), (b"[]", 400), (b"[{}]", 409),
        (b'[{"0020000D": 5, "00080018": []}]', 409), (b'[{"00080018": {"vr": "UI", "Value": {"a": 1}}}]', 409),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be(server: Server, document: bytes, status: int) -> None:
    answer = post(server, body([({"Content-Type": JSON}, document)]))
    assert answer.status_code == status, answer.text[:300]
    if status != 409:
        problem(answer, status)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": OCTETS}, 400), ({"Content-Type": OCTETS, "Content-Location": "x" * 2049}, 400),
        ({"Content-Type": OCTETS, "Content-Location": "x", "Content-Transfer-Encoding": "base64"}, 415),
        ({"Content-Type": OCTETS, "Content-Location": "x", **{f"X-{n}": "y" for n in range(40)}}, 400),
        ({"Content-Type": OCTETS, "X-Large": "y" * 9000}, 400),
    ],
)  # fmt: skip
def test_headers_of_parts_that_cannot_be(server: Server, headers: dict[str, str], status: int) -> None:
    one = apart("CT_small.dcm")
    assert problem(post(server, body([*metadata(one.attributes), *one.parts(), (headers, b"z")])), status)
    not_stored(server, one)


@pytest.mark.parametrize("left", [-10, -700, 1000])
def test_of_a_body_that_ends_too_soon_nothing_is_whole(server: Server, left: int) -> None:
    """It is cut within the metadata, or within the first bulk data."""
    one = apart("CT_small.dcm")
    first = metadata(one.attributes)
    content = body(first + one.parts())[: len(body(first)) + left]
    assert "ends" in problem(post(server, content), 400)
    not_stored(server, one)


def test_of_a_body_that_ends_too_soon_what_came_whole_is_stored(server: Server) -> None:
    """Each of the others is named."""
    good, cut = apart("CT_small.dcm"), apart("MR_small.dcm")
    content = body(metadata(good.attributes, cut.attributes) + good.parts() + cut.parts())
    answer = post(server, content[:-1000])
    assert answer.status_code == 202, answer.text
    assert (names(answer, STORED), names(answer, FAILED)) == ([good.instance], [cut.instance])
    assert "ends" in told(answer, OTHERS)[0][2]
    stored(server, good)
    not_stored(server, cut)


def test_of_a_loop_that_ends_too_soon_nothing_is_stored(server: Server) -> None:
    """All its frames or none."""
    one = apart("examples_ybr_color.dcm")
    content = body(metadata(one.attributes) + one.parts("image/jpeg"))
    assert "ends" in problem(post(server, content[: len(content) - 1000]), 400)
    not_stored(server, one)


def test_failures_can_be_read_by_others(server: Server) -> None:
    """pydicom reads the answer, with its comment, in JSON; XML says the same."""
    one = apart("CT_small.dcm")
    for accept in (JSON, XML):
        answer = post(server, body(metadata(one.attributes)), Accept=accept)
        assert answer.status_code == 409
        if accept == JSON:
            read = Dataset.from_json(json.dumps(answer.json()))
            assert read.FailedSOPSequence[0].FailureReason == 0xC000
        else:
            assert b'keyword="FailureReason"' in answer.content
    not_stored(server, one)
