"""schemathesis over the OpenAPI description, against a running server: nothing is an error of ours, and every answer
has a status, a content type and a form that are described. The seed is fixed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.support.dicom import describe, send_raw
from tests.support.server import ROOT, Server
from tests.support.studies import ct_study
from tests.support.watch import settled, whole

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "allow_header_conformance", "ignored_auth",
)  # fmt: skip
SEED, EXAMPLES, SECONDS_MAX = 4, 4, 280


@pytest.fixture(scope="module")
def fuzzed(workspace: Path) -> Iterator[Server]:
    """Of its own: what comes to it makes facilities and devices, and tries passwords."""
    running = Server(workspace / "fuzzed").start()
    yield running
    whole(running)
    running.remove()


@pytest.fixture(scope="module")
def known(fuzzed: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An instance that is there, by the names of what stands in paths."""
    study = ct_study(tmp_path_factory.mktemp("openapi"), slices=2)
    assert set(send_raw(fuzzed.dicom_port, map(describe, study.files)).values()) == {0}
    settled(fuzzed)
    one = dcmread(study.files[0], stop_before_pixels=True)
    return {
        "study_uid": study.uid, "series_uid": one.SeriesInstanceUID, "sop_instance": one.SOPInstanceUID,
        "frames": "1", "path": "7FE00010",
    }  # fmt: skip


@pytest.mark.parametrize("paths", ["^/(dicom-web|wado)", "^/api"])
def test_what_is_described_is_what_is_answered(
    fuzzed: Server, known: dict[str, str], tmp_path: Path, paths: str
) -> None:
    done = subprocess.run(
        [
            ROOT / ".venv" / "bin" / "schemathesis", "run", f"{fuzzed.url}/api/openapi.json",
            "--header", f"Authorization: {fuzzed.client.headers['Authorization']}", "--include-path-regex", paths,
            "--exclude-path-regex", "^/api/(auth/sign-out|me/sessions/)",  # the header's own session goes on
            "--phases", "coverage,fuzzing", "--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES),
            "--seed", str(SEED), "--workers", "1", "--continue-on-failure", "--no-color", "--warnings", "off",
        ],
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks",
            "KNOWN": json.dumps(known),
        },
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
    )  # fmt: skip
    assert done.returncode == 0, "\n".join(line[:300] for line in (done.stdout + done.stderr).splitlines())
    assert " passed" in done.stdout


@pytest.fixture(scope="module")
def described(fuzzed: Server) -> dict[str, Any]:
    found: dict[str, Any] = fuzzed.get("/api/openapi.json")
    return found


FOR_ALL = "GET /fhir/metadata"  # nobody is asked who they are


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_all_that_fails_is_a_problem(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        answers = operation["responses"]
        wrong = {
            s for s, a in answers.items() if s >= "400" and "application/problem+json" not in a["content"]
        }
        assert not wrong, name
        assert "503" in answers, name
        assert ("401" in answers) is (name != FOR_ALL), name


def test_dicomweb_tells_its_media_types_and_limits(described: dict[str, Any]) -> None:
    by_name = {operation["operationId"]: operation for _, operation in operations(described)}
    frames = by_name["RetrieveFrames"]
    assert {"multipart/related", "application/octet-stream", "image/jphc"} <= frames["responses"]["200"][
        "content"
    ].keys()
    assert [p["name"] for p in frames["parameters"] if p["in"] == "path"] == [
        "study_uid", "series_uid", "sop_instance", "frames",
    ]  # fmt: skip
    search = {p["name"]: p for p in by_name["SearchForStudies"]["parameters"]}
    assert {"limit", "offset", "fuzzymatching", "includefield", "matching"} <= search.keys()
    assert {"PatientName", "StudyDate"} <= search["matching"]["schema"]["properties"].keys()
    assert "SeriesNumber" not in search["matching"]["schema"]["properties"]
    taken = {"multipart/related", "application/dicom", "application/dicom+json", "application/dicom+xml"}
    assert by_name["StoreInstances"]["requestBody"]["content"].keys() == taken


def test_all_methods_of_a_path_are_told(fuzzed: Server) -> None:
    """RFC 9110 15.5.6, where one is refused."""
    refused = fuzzed.client.put("/api/worklist/1")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD, PATCH, DELETE"
    assert fuzzed.client.put("/dicom-web/studies").headers["allow"] == "GET, HEAD, POST, OPTIONS"
