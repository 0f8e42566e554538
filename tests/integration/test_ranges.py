"""Byte ranges and entity tags of instances, frames and bulk data (RFC 9110 13.1, 14)."""

from __future__ import annotations

import random

import httpx
import pytest

from tests.integration.test_wado_forms import ct, path, us
from tests.support.server import Server
from tests.support.studies import Study

__all__ = ["ct", "us"]
DICOM, OCTETS = "application/dicom", "application/octet-stream"
FORMS = [
    ("", f"{DICOM}; transfer-syntax=*"),
    ("", DICOM),
    ("/frames/1", OCTETS),
    ("/frames/1", "image/jphc; transfer-syntax=1.2.840.10008.1.2.4.202"),
    ("/bulkdata/7FE00010", OCTETS),
]


@pytest.fixture(params=FORMS, ids=lambda form: f"{form[0]} {form[1]}")
def form(request: pytest.FixtureRequest, server: Server, ct: Study) -> tuple[str, str]:
    tail, accept = request.param
    return path(ct) + tail, accept


def get(server: Server, form: tuple[str, str], **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.client.get(form[0], headers={"Accept": form[1], **named})


def test_any_range(server: Server, form: tuple[str, str]) -> None:
    whole = get(server, form)
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    size, seed = len(whole.content), random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    ends = [sorted(chance.sample(range(size), 2)) for _ in range(20)]
    for low, high in [(0, 0), (0, size - 1), (size - 1, size - 1), (1, size + 99), *ends]:
        answer = get(server, form, Range=f"bytes={low}-{high}")
        assert answer.status_code == 206
        assert answer.content == whole.content[low : high + 1]
        assert answer.headers["content-range"] == f"bytes {low}-{min(high, size - 1)}/{size}"
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["content-type"] == whole.headers["content-type"]
    assert get(server, form, Range="bytes=-7").content == whole.content[-7:]
    assert get(server, form, Range=f"bytes={size - 5}-").content == whole.content[-5:]


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=5-1", "bytes=-", "pages=1-2", "bytes=a-b", "bytes=" + "9" * 40 + "-"]
)
def test_what_is_no_range_gets_the_whole(server: Server, ct: Study, asked: str) -> None:
    form = path(ct) + "/frames/1", OCTETS
    answer = get(server, form, Range=asked)
    assert (answer.status_code, answer.content) == (200, get(server, form).content)


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0", "bytes=524288-524290"])
def test_out_of_range(server: Server, ct: Study, asked: str) -> None:
    form = path(ct) + "/frames/1", OCTETS
    size = len(get(server, form).content)
    answer = get(server, form, Range=asked.replace("524288", str(size)))
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{size}"
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_the_caller_has_is_not_sent_again(server: Server, form: tuple[str, str]) -> None:
    tag = get(server, form).headers["etag"]
    for given in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        answer = get(server, form, If_None_Match=given)
        assert (answer.status_code, answer.content) == (304, b"")
    assert get(server, form, If_None_Match='"other"').status_code == 200
    assert get(server, form, If_Range=tag, Range="bytes=0-9").status_code == 206
    assert get(server, form, If_Range='"other"', Range="bytes=0-9").status_code == 200


def test_tags_are_of_one_sequence_of_bytes(server: Server, ct: Study) -> None:
    seen: dict[str, bytes] = {}
    for tail, accept in FORMS:
        answer = get(server, (path(ct) + tail, accept))
        assert seen.setdefault(answer.headers["etag"], answer.content) == answer.content


def test_ranges_go_over_frames(server: Server, us: Study) -> None:
    """Bulk data of all frames, each of which lies by itself."""
    form = path(us) + "/bulkdata/7FE00010", OCTETS
    whole = get(server, form).content
    first = len(get(server, (path(us) + "/frames/1", f"{OCTETS}; transfer-syntax=*")).content)
    for low in (0, first - 3, first, len(whole) - 9):
        assert get(server, form, Range=f"bytes={low}-{low + 8}").content == whole[low : low + 9]
