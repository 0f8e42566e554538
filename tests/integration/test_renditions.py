"""HTJ2K renditions as a viewer at a slow line uses them: the manifest, byte ranges of frames, a first picture."""

from __future__ import annotations

import base64
import json
import math
import os
import random
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import generate_uid

from storage.renditions import TRIES_MAX
from tests.faults.test_worker_death import behind_the_index
from tests.integration.test_dicomweb_client_npm import NODE, node
from tests.support.files import package_file
from tests.support.pdu import associated, made
from tests.support.server import Server, eventually
from tests.support.signing import client_of, staff
from tests.support.watch import arguments, settled, whole

RPCL = "1.2.840.10008.1.2.4.202"
JPHC = f"image/jphc; transfer-syntax={RPCL}"
PSNR_MIN = 28.0  # dB, of the first picture against the original made as small by averaging
SLOW_BYTES = 24 * 1024  # two seconds at 100 kbit/s
EXTRA = {"TONGYING_RENDITION_BYTES_MIN": "500000", "TONGYING_RENDITION_QUIET_SECONDS": "0.5"}
# A CT of 512 × 512 pixels, uncompressed; an MR of 1024 × 1024; a radiograph of 1955 × 1841, JPEG 2000 without loss.
FILES = ("693_UNCI.dcm", "MR2_UNCI.dcm", "RG1_J2KR.dcm")


@dataclass(frozen=True, slots=True)
class Sent:
    """One image, stored under UIDs of its own."""

    study: str
    series: str
    instance: str
    pixels: NDArray[Any]
    bytes: int  # of the frame as it came

    @property
    def frame(self) -> str:
        return f"/dicom-web/studies/{self.study}/series/{self.series}/instances/{self.instance}/frames/1"


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    running = Server(workspace / "renditions", extra=EXTRA).start()
    yield running
    whole(running)
    running.remove()


@pytest.fixture(scope="module", params=FILES)
def sent(request: pytest.FixtureRequest, server: Server) -> Sent:
    return stored(server, request.param)


@pytest.fixture(scope="module")
def ct(server: Server) -> Sent:
    return stored(server, FILES[0])


def stored(server: Server, name: str) -> Sent:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(package_file(name))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        file = server.data.parent / f"{dataset.SOPInstanceUID}.dcm"
        dataset.save_as(file)
        one = Sent(
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID, dataset.pixel_array,
            len(dataset.PixelData),
        )  # fmt: skip
    answer = server.client.post(
        "/dicom-web/studies", content=file.read_bytes(), headers={"Content-Type": "application/dicom"}
    )
    answer.raise_for_status()
    file.unlink()
    return one


def rendition(server: Server, one: Sent) -> dict[str, Any] | None:
    (series,) = server.get(f"/api/studies/{one.study}")["series"]
    found: dict[str, Any] | None = series["rendition"]
    return found


def made_of(server: Server, one: Sent) -> dict[str, Any]:
    """What the manifest tells of the rendition, once the worker has made it."""
    settled(server)
    found = eventually(lambda: rendition(server, one), 30, "the rendition is made")
    assert isinstance(found, dict)
    return found


def get(server: Server, one: Sent, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.client.get(one.frame, headers={"Accept": JPHC, **named})


def test_the_first_bytes_are_a_picture(server: Server, sent: Sent) -> None:
    """Node asks for what the manifest says is enough, and decodes it; the next resolution too; all is lossless."""
    told = made_of(server, sent)
    asked = {
        "root": server.url, "bearer": server.client.headers["Authorization"], "study": sent.study,
        "series": sent.series, "instance": sent.instance,
    }  # fmt: skip
    done = subprocess.run(
        [node(), "progressive.mjs"], input=json.dumps(asked), cwd=NODE, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    first, second, all_of_it = (picture(found[name]) for name in ("first", "second", "whole"))
    sizes = [found[name]["bytes"] for name in ("first", "second", "whole")]
    quality = [psnr(small, shrunk(sent.pixels, small.shape)) for small in (first, second)]
    print(f"{sent.pixels.shape}: {sent.bytes} bytes as it came, {sizes[2]} as a rendition;")
    for small, size, decibels in zip((first, second), sizes, quality, strict=False):
        print(f"  {small.shape} after {size} bytes, {decibels:.1f} dB")
    assert found["first"]["status"] == found["second"]["status"] == 206
    after = told["resolution_bytes"]
    assert sizes == [told["first_picture_bytes"], after[found["halvings"] - 1], after[0]]
    assert sizes[0] <= SLOW_BYTES
    assert 64 <= max(first.shape) < 128
    assert min(quality) > PSNR_MIN
    assert np.array_equal(all_of_it, sent.pixels)


def picture(found: dict[str, Any]) -> NDArray[Any]:
    kind = ("i" if found["isSigned"] else "u") + ("1" if found["bitsPerSample"] <= 8 else "2")
    pixels = np.frombuffer(base64.b64decode(found["pixels"]), f"<{kind}")
    return pixels[: found["rows"] * found["columns"]].reshape(found["rows"], found["columns"])


def shrunk(pixels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Each pixel the mean of a square around the place of its sample: the wavelet keeps the samples at even places."""
    step = round(pixels.shape[0] / shape[0])
    padded = np.pad(pixels.astype(np.float64), ((step // 2, step), (step // 2, step)), "reflect")
    squares = padded[: shape[0] * step, : shape[1] * step].reshape(shape[0], step, shape[1], step)
    return np.asarray(squares.mean(axis=(1, 3)))


def psnr(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    error = np.mean((found.astype(np.float64) - wanted) ** 2)
    return 10 * math.log10(float(np.ptp(wanted)) ** 2 / max(float(error), 1e-9))


def test_pieces_put_together_are_the_frame(server: Server, sent: Sent) -> None:
    """Bit for bit what came; whether in one part, in a multipart, or by any ranges."""
    made_of(server, sent)
    frame = get(server, sent).raise_for_status()
    assert np.array_equal(imagecodecs.jpeg2k_decode(frame.content), sent.pixels)
    several = server.client.get(
        sent.frame, headers={"Accept": f'multipart/related; type="image/jphc"; transfer-syntax={RPCL}'}
    )
    assert frame.content in several.raise_for_status().content
    seed = random.randrange(10**6)
    print("seed", seed)
    size, chance = len(frame.content), random.Random(seed)
    ends = sorted({0, size, *chance.sample(range(1, size), 5)})
    pieces = [
        get(server, sent, Range=f"bytes={low}-{high - 1}", If_Range=frame.headers["etag"])
        for low, high in pairwise(ends)
    ]
    assert {p.status_code for p in pieces} == {206}
    assert {p.headers["etag"] for p in pieces} == {frame.headers["etag"]}
    assert b"".join(p.content for p in pieces) == frame.content
    assert get(server, sent, If_None_Match=frame.headers["etag"]).status_code == 304
    assert get(server, sent, Range="bytes=0-9", If_Range='"other"').content == frame.content


def test_the_same_bytes_before_and_after(server: Server, workspace: Path) -> None:
    """A viewer that began with what was transcoded for it goes on with the rendition."""
    one = stored(server, FILES[0])
    settled(server)
    before = get(server, one).raise_for_status()
    made_of(server, one)
    after = get(server, one).raise_for_status()
    assert before.content == after.content
    assert before.headers["etag"] == after.headers["etag"]
    (key,) = rendition_files(server, one)
    data = bytearray(key.read_bytes())
    assert data[: len(after.content)] == after.content, "this object is what is read"


def rendition_files(server: Server, one: Sent) -> list[Path]:
    with psycopg.connect(database(server)) as connection:
        (pk,) = connection.execute(
            "SELECT id FROM series WHERE series_uid = %s", [one.series]
        ).fetchone() or (0,)
    return sorted((server.data / "objects" / "series" / str(pk)).glob("*.htj2k"))


def database(server: Server) -> str:
    return f"host={server.data / 'postgres'} dbname=tongying user=postgres"


def test_what_is_indexed_anew_gets_a_new_one(server: Server, ct: Sent) -> None:
    made_of(server, ct)
    frame = get(server, ct).content
    (old,) = rendition_files(server, ct)
    server.run("reindex", "--study", ct.study)
    eventually(
        lambda: rendition(server, ct) and len(rendition_files(server, ct)) == 2, 30, "a new one is made"
    )
    assert get(server, ct).content == frame
    assert old in rendition_files(server, ct), "it is removed later, when nobody reads it any more"


def test_a_small_series_has_none(server: Server) -> None:
    one = made()
    with associated(server.dicom_port) as caller:
        assert caller.store(one.instance, one.data) == 0
    settled(server)
    large = stored(server, FILES[0])
    made_of(server, large)  # which came later
    time.sleep(0.5)
    (series,) = server.get(f"/api/studies/{one.study}")["series"]
    assert series["rendition"] is None


def test_another_facility_sees_nothing(server: Server, ct: Sent) -> None:
    made_of(server, ct)
    server.run("facility", "add", "FOREIGN")
    staff(server, "foreign", "FOREIGN")
    with client_of(server, "foreign") as foreigner:
        for asked in ({"Accept": JPHC}, {"Accept": JPHC, "Range": "bytes=0-9"}):
            answer = foreigner.get(ct.frame, headers=asked)
            nowhere = foreigner.get(ct.frame.replace(ct.instance, "1.2.3"), headers=asked)
            assert (answer.status_code, answer.json()) == (404, nowhere.json())
        assert foreigner.get(f"/api/studies/{ct.study}").status_code == 404
    assert httpx.get(f"{server.url}{ct.frame}", headers={"Accept": JPHC}).status_code == 401


def test_a_worker_that_dies_at_it(server: Server) -> None:
    """All workers are killed while renditions are made, and again: they come nevertheless."""
    several = [stored(server, FILES[1]) for _ in range(3)]
    settled(server)
    for _ in range(TRIES_MAX - 1):
        time.sleep(0.7)
        for process in behind_the_index(server):
            if "worker.app" in arguments(process):
                os.kill(process.pid, signal.SIGKILL)
    for one in several:
        eventually(partial(rendition, server, one), 60, "it is made")
        assert np.array_equal(imagecodecs.jpeg2k_decode(get(server, one).content), one.pixels)
