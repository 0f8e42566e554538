"""Promise P3: every real file, sent as its raw bytes, comes back byte for byte under its original transfer syntax."""

from __future__ import annotations

import io
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import httpx
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from pacs.encoded import read_instance
from tests.support.dicom import Sent, dataset_sha256, dcmsend, describe, parts_of, send_raw
from tests.support.files import package_files, shared_files
from tests.support.server import Server, eventually

AS_RECEIVED = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


def sendable(paths: list[Path]) -> list[Sent]:
    """Files with a meta header that C-STORE can name; the others are no Part 10 files."""
    found = []
    for path in paths:
        try:
            file = describe(path)
        except (KeyError, ValueError):
            continue
        if file.sop_class == "1.2.840.10008.1.3.10":
            continue  # DICOMDIR is for media, not for sending
        uids = (file.sop_class, file.sop_instance, file.transfer_syntax)
        if all(re.fullmatch(r"[0-9.]+", uid) for uid in uids):
            found.append(file)
    return found


def retrieved(server: Server) -> dict[str, set[tuple[str, str]]]:
    """Everything that the archive shows: SOP Instance UID → (transfer syntax, SHA-256 of the data set)."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    cursor: str | None = ""
    while cursor is not None:
        page = server.get("/api/studies", limit=200, cursor=cursor)
        for study in page["studies"]:
            answer = server.client.get(f"/dicom-web/studies/{study['study_uid']}", headers=AS_RECEIVED)
            for headers, body in parts_of(answer.raise_for_status()):
                syntax = headers["content-type"].split("transfer-syntax=")[1]
                found[describe_body(body)].add((syntax, dataset_sha256(body)))
        cursor = page["next_cursor"]
    return found


def describe_body(part10: bytes) -> str:
    value = read_instance(part10).attributes.get("00080018", {}).get("Value") or [""]
    return str(value[0])


def conflicting(server: Server) -> dict[str, set[str]]:
    """What was kept beside what is shown: SOP Instance UID → SHA-256 of data sets, from the operator's list."""
    found: dict[str, set[str]] = defaultdict(set)
    for incident in server.get("/api/incidents", limit=1000)["incidents"]:
        body = server.client.get(f"/api/incidents/{incident['id']}/instance").raise_for_status().content
        found[incident["sop_instance"]].add(dataset_sha256(body))
    return found


@pytest.fixture(scope="module", params=["shared", "packages"])
def corpus(workspace: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Server, list[Sent]]]:
    """An archive with every file of a corpus, sent as raw bytes, and all of it indexed."""
    paths = shared_files() if request.param == "shared" else list(package_files().values())
    if not paths:
        pytest.skip("the folder ../shared/data is not there")
    files = sendable(paths)
    assert len(files) > 80
    running = Server(workspace / f"corpus-{request.param}").start()
    try:
        statuses = send_raw(running.dicom_port, files)
        assert {p.name: hex(s) for p, s in statuses.items() if s != 0} == {}
        assert len(statuses) == len(files)
        all_indexed(running)
        yield running, files
    finally:
        running.remove()


def all_indexed(server: Server) -> None:
    """Until nothing waits any more, in the spool or as a pack."""

    def quiet() -> bool:
        spooled = list((server.data / "spool").glob("*/*/*.seg"))
        return not spooled and httpx.get(f"{server.url}/readyz").json()["packs_waiting"] == 0

    eventually(quiet, 90, "all is indexed")


def test_every_file_comes_back(corpus: tuple[Server, list[Sent]]) -> None:
    server, files = corpus
    shown, kept = retrieved(server), conflicting(server)
    assert [f.path for f in files if not came_back(f, shown, kept)] == []
    checked = server.command("check", check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def came_back(file: Sent, shown: dict[str, set[tuple[str, str]]], kept: dict[str, set[str]]) -> bool:
    hashes = {sha for found in shown.values() for _, sha in found} | {
        s for found in kept.values() for s in found
    }
    syntaxes = {syntax for found in shown.values() for syntax, sha in found if sha == file.sha256}
    return file.sha256 in hashes and (not syntaxes or file.transfer_syntax in syntaxes)


def test_dcmsend_element_for_element(own_server: Server) -> None:
    """DCMTK writes the data set anew as it sends, so what comes back is compared by element."""
    files = sendable(shared_files() or [p for n, p in package_files().items() if n.startswith(("CT", "MR"))])
    report = dcmsend(own_server.dicom_port, *{f.path.parent for f in files})
    sent = int(re.search(r"with status SUCCESS\s*: (\d+)", report).group(1))  # type: ignore[union-attr]
    assert sent > len(files) * 0.9, report[-2000:]
    all_indexed(own_server)
    originals = defaultdict(list)
    for file in files:
        originals[file.sop_instance].append(file.path)
    compared = 0
    for sop_instance, body in bodies(own_server):
        if sop_instance not in originals:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = [dcmread(path) for path in originals[sop_instance]]
            found = dcmread(io.BytesIO(body))
            assert any(same_elements(found, w) for w in wanted), originals[sop_instance]
        compared += 1
    assert compared > len(originals) * 0.9


def test_what_can_be_rendered_has_a_thumbnail(corpus: tuple[Server, list[Sent]]) -> None:
    server, files = corpus
    pictures, icons = 0, []
    for study in server.get("/api/studies", limit=200)["studies"]:
        manifest = server.get(f"/api/studies/{study['study_uid']}")
        for series in manifest["series"]:
            for instance in series["instances"]:
                path = f"/dicom-web/studies/{study['study_uid']}/series/{series['series_uid']}"
                path += f"/instances/{instance['sop_uid']}"
                answer = server.client.get(f"{path}/thumbnail")
                if instance["frames"] == 0:
                    continue
                if answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg":
                    pictures += 1
                else:
                    icons.append((path, answer.status_code))
            picture = server.client.get(series["thumbnail"]).raise_for_status().content
            assert Image.open(io.BytesIO(picture)).size[0] > 10
    renderable = len({f.sop_instance for f in files if can_render(f.path)})  # one UID is one instance
    assert len(icons) <= 5, icons
    assert pictures > renderable * 0.9


def can_render(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "PixelData" in dcmread(path)
        except (InvalidDicomError, ValueError, TypeError, KeyError):
            return False


def bodies(server: Server) -> Iterator[tuple[str, bytes]]:
    for study in server.get("/api/studies", limit=200)["studies"]:
        answer = server.client.get(f"/dicom-web/studies/{study['study_uid']}", headers=AS_RECEIVED)
        for _headers, body in parts_of(answer.raise_for_status()):
            yield describe_body(body), body


def same_elements(found: Dataset, wanted: Dataset) -> bool:
    """Equal but for what DCMTK may not keep: group lengths, padding, and the values' trailing spaces."""
    return plain(found) == plain(wanted)


def plain(dataset: Dataset) -> dict[int, object]:
    found: dict[int, object] = {}
    for tag in sorted(dataset.keys()):
        raw = dataset.get_item(tag)
        if tag.is_private:  # its VR may be told differently, not its bytes; pydicom parses some as it reads
            found[int(tag)] = (raw.value or b"").rstrip(b"\0 ") if isinstance(raw, RawDataElement) else ANY
        elif tag.element != 0 and tag != 0xFFFCFFFC:
            element = dataset[tag]
            found[int(tag)] = [plain(i) for i in element.value] if element.VR == "SQ" else trimmed(element)
    return found


def trimmed(element: DataElement) -> object:
    value = element.value
    if isinstance(value, bytes):
        if element.is_undefined_length:  # fragments of odd length, which there are, are padded on the way
            return [fragment.rstrip(b"\0") for fragment in generate_fragments(value)]
        return value.rstrip(b"\0 ")
    if isinstance(value, MultiValue):
        return [str(v).rstrip("\0 ") for v in value]
    return str(value).rstrip("\0 ")
