"""Pages of other origins (CORS): those of the setting may call, in a real browser too; others are refused, and without
the setting all are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread

from pacs.errors import SettingError
from pacs.settings import from_environment
from tests.support.browser import page
from tests.support.dicom import describe, send_raw
from tests.support.server import ROOT, Server
from tests.support.studies import ct_study
from tests.support.watch import settled, whole

VIEWER, STRANGER = "https://viewer.example", "https://stranger.example"
CLIENT = ROOT / "tests" / "node" / "node_modules" / "dicomweb-client" / "build" / "dicomweb-client.js"


class _Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """The origin of a page that is not ours."""
    other = ThreadingHTTPServer(("127.0.0.1", 0), _Blank)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{other.server_address[1]}"
    other.shutdown()
    other.server_close()


@pytest.fixture(scope="module")
def shared(workspace: Path, elsewhere: str) -> Iterator[Server]:
    running = Server(workspace / "cors", {"TONGYING_CORS_ORIGINS": f"{VIEWER}, {elsewhere}"}).start()
    yield running
    whole(running)
    running.remove()


def preflight(
    server: Server, origin: str, path: str, method: str = "GET", headers: str = ""
) -> httpx.Response:
    given = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        given["Access-Control-Request-Headers"] = headers
    return httpx.request("OPTIONS", server.url + path, headers=given)


def allowed(answer: httpx.Response) -> str:
    """Who may read it; empty: nobody elsewhere."""
    return str(answer.headers.get("access-control-allow-origin", ""))


def words(answer: httpx.Response, header: str) -> set[str]:
    return {word.strip().lower() for word in answer.headers[header].split(",")}


@pytest.mark.parametrize("path", ["/dicom-web/studies", "/api/auth/token", "/api/studies", "/wado"])
def test_preflights(shared: Server, path: str) -> None:
    answer = preflight(shared, VIEWER, path, "POST", "authorization, content-type")
    assert (answer.status_code, allowed(answer)) == (200, VIEWER)
    assert "access-control-allow-credentials" not in answer.headers
    assert {"get", "post", "patch", "delete"} <= words(answer, "access-control-allow-methods")
    assert {"authorization", "content-type", "range"} <= words(answer, "access-control-allow-headers")


def test_strangers_are_refused(shared: Server) -> None:
    answer = preflight(shared, STRANGER, "/dicom-web/studies")
    assert (answer.status_code, allowed(answer)) == (400, "")
    assert allowed(shared.client.get("/dicom-web/studies", headers={"Origin": STRANGER})) == ""
    assert preflight(shared, VIEWER, "/dicom-web/studies", headers="x-other").status_code == 400


@pytest.mark.parametrize(("path", "status"), [("/dicom-web/studies", 200), ("/dicom-web/studies/1.2.3", 404)])
def test_answers_say_who_may_read_them(shared: Server, path: str, status: int) -> None:
    """Problems too."""
    answer = shared.client.get(path, headers={"Origin": VIEWER})
    assert (answer.status_code, allowed(answer)) == (status, VIEWER)
    assert "origin" in words(answer, "vary")
    assert {"etag", "warning", "location", "content-range"} <= words(answer, "access-control-expose-headers")
    assert (
        httpx.get(shared.url + path, headers={"Origin": VIEWER}).headers["access-control-allow-origin"]
        == VIEWER
    )


def test_capabilities_still_answer(shared: Server) -> None:
    """OPTIONS is a preflight only where a method is asked for."""
    answer = httpx.request("OPTIONS", f"{shared.url}/dicom-web/studies", headers={"Origin": VIEWER})
    assert answer.headers["content-type"] == "application/vnd.sun.wadl+xml"
    assert allowed(answer) == VIEWER


def test_nobody_without_the_setting(server: Server) -> None:
    assert allowed(server.client.get("/dicom-web/studies", headers={"Origin": VIEWER})) == ""
    assert allowed(preflight(server, VIEWER, "/dicom-web/studies")) == ""
    assert preflight(server, VIEWER, "/api/studies").status_code == 405


@pytest.mark.parametrize(
    "origins", ["viewer.example", "https://viewer.example/", "https://a.example,null", "HTTPS://A"]
)
def test_what_is_no_origin(origins: str) -> None:
    with pytest.raises(SettingError, match="TONGYING_CORS_ORIGINS"):
        from_environment({"TONGYING_CORS_ORIGINS": origins})


FLOW = """async ([root, bearer, names]) => {
  const client = new DICOMwebClient.api.DICOMwebClient({ url: root, headers: { Authorization: bearer } });
  const found = await client.searchForStudies({ queryParams: { StudyInstanceUID: names.studyInstanceUID } });
  const metadata = await fetch(`${root}/studies/${names.studyInstanceUID}/metadata`,
    { headers: { Authorization: bearer } });
  const whole = await client.retrieveInstance(names);
  const stored = await client.storeInstances({ datasets: [whole] });
  return { found, etag: metadata.headers.get('etag'), bytes: whole.byteLength, stored: JSON.parse(stored) };
}"""


def test_a_browser(shared: Server, elsewhere: str, tmp_path: Path) -> None:
    """Searches, reads an ETag, retrieves and stores from another origin; from a third one it may not."""
    study = ct_study(tmp_path, slices=1)
    assert set(send_raw(shared.dicom_port, map(describe, study.files)).values()) == {0}
    settled(shared)
    one = dcmread(study.files[0], stop_before_pixels=True)
    names = {
        "studyInstanceUID": study.uid, "seriesInstanceUID": one.SeriesInstanceUID, "sopInstanceUID": one.SOPInstanceUID,
    }  # fmt: skip
    asked = [f"{shared.url}/dicom-web", shared.client.headers["Authorization"], names]
    with page() as tab:
        tab.goto(elsewhere)
        tab.add_script_tag(path=CLIENT)
        told = tab.evaluate(FLOW, asked)
        assert told["found"][0]["0020000D"]["Value"] == [study.uid]
        assert told["etag"]
        assert told["bytes"] > 30_000
        assert len(told["stored"]["00081199"]["Value"]) == 1
        tab.goto(elsewhere.replace("127.0.0.1", "localhost"))
        reached = "url => fetch(url).then(() => 'read', () => 'refused')"
        assert tab.evaluate(reached, f"{shared.url}/api/me") == "refused"
