"""Promise P3: every real file, sent as its raw bytes, comes back byte for byte under its original transfer syntax."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import httpx
import pytest

from tests.support.dicom import Sent, dataset_sha256, describe, parts_of, send_raw
from tests.support.files import package_files, shared_files
from tests.support.server import Server

AS_RECEIVED = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


def sendable(paths: list[Path]) -> list[Sent]:
    """Files with a meta header that C-STORE can name; the others are no Part 10 files."""
    found = []
    for path in paths:
        try:
            file = describe(path)
        except (KeyError, ValueError):
            continue
        if all(
            re.fullmatch(r"[0-9.]+", uid) for uid in (file.sop_class, file.sop_instance, file.transfer_syntax)
        ):
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
    from pacs.encoded import read_instance

    value = read_instance(part10).attributes.get("00080018", {}).get("Value") or [""]
    return str(value[0])


def conflicting(server: Server) -> dict[str, set[str]]:
    """What was kept beside what is shown: SOP Instance UID → SHA-256 of data sets, from the operator's list."""
    found: dict[str, set[str]] = defaultdict(set)
    for incident in server.get("/api/incidents", limit=1000)["incidents"]:
        body = server.client.get(f"/api/incidents/{incident['id']}/instance").raise_for_status().content
        found[incident["sop_instance"]].add(dataset_sha256(body))
    return found


@pytest.mark.parametrize("corpus", ["shared", "packages"])
def test_every_file_comes_back(own_server: Server, corpus: str) -> None:
    paths = shared_files() if corpus == "shared" else list(package_files().values())
    if not paths:
        pytest.skip("the folder ../shared/data is not there")
    files = sendable(paths)
    assert len(files) > 100

    statuses = send_raw(own_server.dicom_port, files)

    assert {p.name: hex(s) for p, s in statuses.items() if s != 0} == {}
    distinct = {(f.sop_instance, f.sha256) for f in files}
    own_server.wait_indexed(len({f.sop_instance for f in files}) * 9 // 10)
    shown, kept = wait_for_all(own_server, distinct)
    missing = [f.path for f in files if not came_back(f, shown, kept)]
    assert missing == []
    checked = own_server.run("check", check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def wait_for_all(
    server: Server, distinct: set[tuple[str, str]]
) -> tuple[dict[str, set[tuple[str, str]]], dict[str, set[str]]]:
    """Until nothing waits any more."""
    from tests.support.server import eventually

    eventually(lambda: httpx.get(f"{server.url}/readyz").json()["packs_waiting"] == 0, 60)
    return retrieved(server), conflicting(server)


def came_back(file: Sent, shown: dict[str, set[tuple[str, str]]], kept: dict[str, set[str]]) -> bool:
    hashes = {sha for found in shown.values() for _, sha in found} | {
        s for found in kept.values() for s in found
    }
    syntaxes = {syntax for found in shown.values() for syntax, sha in found if sha == file.sha256}
    return file.sha256 in hashes and (not syntaxes or file.transfer_syntax in syntaxes)
