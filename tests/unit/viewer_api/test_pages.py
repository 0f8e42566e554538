"""The pages as files: what is served of OHIF where it is installed, and nothing where it is not."""

from __future__ import annotations

import asyncio
import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from pacs.settings import Settings
from viewer_api.app import create_app

SCRIPT = b"globalThis.one = 1\n" * 100


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A folder as `make ohif` makes it, with something secret beside it."""
    files = {
        "index.html": b"<!doctype html>ohif",
        "assets/0a1b/app.bundle.js": SCRIPT,
        "assets/0a1b/app.bundle.js.gz": gzip.compress(SCRIPT),
        "assets/0a1b/decoder/worker.js": SCRIPT,
    }
    for name, content in files.items():
        path = tmp_path / "ohif" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "secret").write_bytes(b"secret")
    return tmp_path / "ohif"


@dataclass
class Client:
    """GET of the application in this process. Pages need no archive: it is not opened."""

    app: FastAPI

    def get(self, path: str, **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(ask())


@pytest.fixture
def client(dist: Path, tmp_path: Path) -> Client:
    return Client(create_app(Settings(data=tmp_path / "data", ohif_dist=dist, web_dist=tmp_path / "web")))


def test_every_path_of_its_router_is_its_page(client: Client) -> None:
    for path in ("/ohif/", "/ohif/viewer", "/ohif/viewer?StudyInstanceUIDs=1.2.3", "/ohif/segmentation/x"):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (200, "<!doctype html>ohif"), path
        assert answer.headers["Cache-Control"] == "no-cache"
    assert client.get("/ohif").headers["Location"] == "/ohif/"


def test_files_are_kept_and_come_compressed(client: Client) -> None:
    answer = client.get("/ohif/assets/0a1b/app.bundle.js")
    assert answer.content == SCRIPT
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]
    plain = client.get("/ohif/assets/0a1b/app.bundle.js", **{"Accept-Encoding": "identity"})
    assert plain.content == SCRIPT


def test_only_the_decoder_may_compile_strings(client: Client) -> None:
    def policy(path: str) -> str:
        return client.get(path).headers["Content-Security-Policy"]

    for path in ("/ohif/", "/ohif/assets/0a1b/app.bundle.js", "/ohif/decoder/x"):
        assert "'unsafe-eval'" not in policy(path), path
        assert "'unsafe-inline'" not in policy(path).split("style-src")[0]
        assert "frame-ancestors 'none'" in policy(path)
    assert "'unsafe-eval'" in policy("/ohif/assets/0a1b/decoder/worker.js")


@pytest.mark.parametrize(
    "path",
    ["assets/none.js", "assets/0a1b/", "assets/%2e%2e/%2e%2e/secret", "assets/%00", "assets/" + "a" * 5000],
)
def test_what_is_no_file_is_not_found(client: Client, path: str) -> None:
    answer = client.get(f"/ohif/{path}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/ohif", "/ohif/", "/ohif/viewer", "/ohif/assets/0a1b/app.bundle.js"])
def test_where_it_is_not_installed_nothing_is_there(client: Client, dist: Path, path: str) -> None:
    dist.rename(dist.with_name("elsewhere"))
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_path_without_get_says_what_it_has(client: Client) -> None:
    """405 with Allow, although every path may be a page (RFC 9110 15.5.6)."""
    paths = {re.sub(r"{\w+}", "1", path): methods for path, methods in client.app.openapi()["paths"].items()}
    # Where FHIR's operations stand, an id may stand too: to read that is to find nothing.
    without = {path: methods for path, methods in paths.items() if "get" not in methods and "$" not in path}
    assert len(without) > 3
    for path, methods in without.items():
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json"), path
        assert {m.upper() for m in methods} <= set(answer.headers["allow"].split(", ")), path
        assert "GET" not in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/api/nothing", "/dicom-web/nothing", "/dicom-web", "/fhir/Patient"])
def test_what_is_nowhere_is_not_found(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404
