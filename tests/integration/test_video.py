"""Video (MPEG-2, H.264, H.265) is passed through: rendered in the container it came in, and as its frame."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.uid import UID

from tests.support.dicom import describe, send_raw
from tests.support.server import Server
from tests.support.studies import Study, ultrasound_study
from tests.support.watch import settled

ROOT = "1.2.840.10008.1.2.4."
FTYP = bytes.fromhex("00000018667479706d703432000000006d703432 69736f6d")  # the first box of an MP4 file
BODY = os.urandom(1_500_000)  # more than is answered at once
STREAMS = {
    "mp4": ("102", FTYP + BODY, "video/mp4"),
    "parts": ("102.1", FTYP + BODY, "video/mp4"),
    "hevc": ("107", FTYP + BODY, "video/mp4"),
    "program": ("100", bytes.fromhex("000001ba") + BODY, "video/mpeg"),
    "elementary": ("101", bytes.fromhex("000001b3") + BODY, "video/mpeg"),
    "transport": ("102", (b"\x47" + bytes(187)) * 9000, "video/mp2t"),
    "bare": ("102", bytes.fromhex("0000000167") + BODY[:999], ""),
}


@pytest.fixture(scope="module")
def films(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    folder = tmp_path_factory.mktemp("films")
    found = {kind: ultrasound_study(folder / kind) for kind in STREAMS}
    for kind, study in found.items():
        film(study.files[0], *STREAMS[kind][:2], fragments=3 if kind == "parts" else 1)
    sent = [describe(study.files[0]) for study in found.values()]  # DCMTK does not know all of these syntaxes
    assert set(send_raw(server.dicom_port, sent).values()) == {0}
    settled(server)
    return found


def film(path: Path, number: str, stream: bytes, fragments: int) -> None:
    dataset = dcmread(path)
    dataset.PixelData = encapsulate([stream], fragments_per_frame=fragments, has_bot=False)
    assert len(list(generate_fragments(dataset.PixelData))) == 1 + fragments, (
        "the first is an empty offset table"
    )
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = UID(ROOT + number)
    dataset.save_as(path)


def get(server: Server, study: Study, end: str, accept: str = "", **headers: str) -> httpx.Response:
    one = dcmread(study.files[0], stop_before_pixels=True)
    path = (
        f"/dicom-web/studies/{study.uid}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}{end}"
    )
    return server.client.get(path, headers=({"Accept": accept} if accept else {}) | headers)


@pytest.mark.parametrize("kind", [kind for kind, (_, _, media_type) in STREAMS.items() if media_type])
def test_the_stream_as_it_is(server: Server, films: dict[str, Study], kind: str) -> None:
    _, stream, media_type = STREAMS[kind]
    for accept in (media_type, "video/*", "*/*", f"image/jpeg;q=0.5, {media_type}"):
        answer = get(server, films[kind], "/rendered", accept)
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert answer.content[: len(stream)] == stream
        assert len(answer.content) - len(stream) in (0, 1), "fragments are of even length"
    part = get(server, films[kind], "/rendered", media_type, Range="bytes=1000-1999")
    assert (part.status_code, part.content) == (206, stream[1000:2000])
    assert part.headers["etag"] == answer.headers["etag"]


def test_as_a_frame(server: Server, films: dict[str, Study]) -> None:
    for kind, media_type in (("mp4", "video/mp4"), ("parts", "video/mp4"), ("hevc", "video/h265"),
                             ("program", "video/mpeg2")):  # fmt: skip
        number, stream, _ = STREAMS[kind]
        for accept in (
            media_type,
            f"{media_type}; transfer-syntax={ROOT}{number}",
            f"{media_type}; transfer-syntax=*",
        ):
            answer = get(server, films[kind], "/frames/1", accept)
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == f"{media_type}; transfer-syntax={ROOT}{number}"
            assert answer.content[: len(stream)] == stream
    other = get(server, films["mp4"], "/frames/1", f"video/mp4; transfer-syntax={ROOT}103")
    assert (other.status_code, f"transfer-syntax={ROOT}102" in other.json()["detail"]) == (406, True)


def test_what_cannot_be(server: Server, films: dict[str, Study]) -> None:
    bare = get(server, films["bare"], "/rendered", "video/mp4")
    assert (bare.status_code, "in no container" in bare.json()["detail"]) == (422, True)
    for accept in ("image/jpeg", "image/gif", "video/mpeg"):
        picture = get(server, films["mp4"], "/rendered", accept)
        assert (picture.status_code, picture.json()["detail"]) == (406, "possible here: video/mp4")
    assert get(server, films["mp4"], "/frames/1/rendered", "image/jpeg").status_code == 422


def test_by_wado_uri(server: Server, films: dict[str, Study]) -> None:
    one = dcmread(films["mp4"].files[0], stop_before_pixels=True)
    asked = {
        "requestType": "WADO", "studyUID": films["mp4"].uid, "seriesUID": one.SeriesInstanceUID,
        "objectUID": one.SOPInstanceUID,
    }  # fmt: skip
    stream = server.client.get("/wado", params=asked | {"contentType": "video/mp4"})
    assert (stream.headers["content-type"], stream.content[: len(FTYP)]) == ("video/mp4", FTYP)
    assert server.client.get("/wado", params=asked).headers["content-type"].startswith("application/dicom")
    picture = asked | {"contentType": "image/jpeg"}
    assert server.client.get("/wado", params=picture, headers={"Accept": "image/*"}).status_code == 406
    other = server.client.get("/wado", params=picture, headers={"Accept": "*/*"})
    assert other.headers["content-type"].startswith("application/dicom"), (
        "what the header accepts (PS3.18 8.7.8.1)"
    )
