"""OHIF as a second door: the same sign-in, the right pixels, and what it must not do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Request
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from pacs.settings import Settings
from tests.e2e.test_whole_way import alike, displayed, expected, wait_searchable
from tests.support import browser
from tests.support.dicom import storescu
from tests.support.files import package_file
from tests.support.server import PASSWORD, Server, eventually
from tests.support.studies import Study, ct_study
from viewer_api.pages import has_ohif

pytestmark = [
    pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: make tools"),
    pytest.mark.skipif(not has_ohif(Settings()), reason="OHIF is not built: make ohif"),
]
JPEG_2000 = "693_J2KR.dcm"
CANVAS = "canvas.cornerstone-canvas"
TOKEN = "sessionStorage.getItem('tongying.token')"
OPENED = (
    "() => window.cornerstone?.getRenderingEngines()?.[0]?.getViewports()[0]?.getCurrentImageId?.() ?? ''"
)
SERIES = """() => Object.fromEntries(window.services.displaySetService.activeDisplaySets.map(
    d => [d.SeriesDescription, {volume: d.isReconstructable, images: d.images.map(i => i.imageId)}]))"""
PIXELS = (
    "async id => JSON.stringify([...(await window.cornerstone.imageLoader.loadImage(id)).getPixelData()])"
)
LOAD = "id => void window.cornerstone.imageLoader.loadImage(id).catch(() => {})"


@pytest.fixture(scope="module")
def ct(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A CT; beside its straight series one as a tilted gantry makes it, and one in JPEG 2000."""
    folder = tmp_path_factory.mktemp("ohif")
    study = ct_study(folder, slices=6, patient_id="OHIF CT")  # an ID with a space
    slices, tilted = [dcmread(path) for path in study.files], generate_uid()
    for number, dataset in enumerate(slices):
        dataset.ImagePositionPatient = [0, 1.5 * number, 5.0 * number]
    plain = [_as_series(d, tilted, "tilted", folder / f"{n}.dcm") for n, d in enumerate(slices)]
    compressed = dcmread(package_file(JPEG_2000))
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "SpecificCharacterSet"):
        setattr(compressed, keyword, getattr(slices[0], keyword))
    jpeg2000 = _as_series(compressed, generate_uid(), "jpeg2000", folder / "jpeg2000.dcm")
    assert storescu(server.dicom_port, *study.files, *plain).returncode == 0
    assert storescu(server.dicom_port, "-xv", jpeg2000).returncode == 0
    wait_searchable(server, study.uid)
    eventually(
        lambda: server.get(f"/api/studies/{study.uid}")["instance_count"] == 13, 20, "all is searchable"
    )
    return study


def _as_series(dataset: Dataset, series: str, description: str, path: Path) -> Path:
    dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.SeriesDescription = series, 9, description
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.save_as(path)
    return path


def test_who_is_not_signed_in_signs_in_and_comes_back(server: Server, ct: Study) -> None:
    with browser.page() as tab:
        asked, complaints = watched(tab)
        door = f"{viewer(ct)}&token=forged"  # which OHIF would take for its own
        tab.goto(server.url + door)
        tab.get_by_test_id("username").fill("admin")
        tab.get_by_test_id("password").fill(PASSWORD)
        tab.get_by_test_id("sign-in").click()
        tab.wait_for_url(f"**{door}")
        assert_shows(tab, ct)
        assert complaints == []
        token = tab.evaluate(TOKEN)
        assert {r.headers.get("authorization") for r in asked if "/dicom-web/" in r.url} == {
            f"Bearer {token}"
        }
        assert not [r.url for r in asked if token in r.url], "the token is in no address"
        assert not [r.url for r in asked if not r.url.startswith((server.url, "blob:", "data:"))]
        tab.wait_for_load_state("networkidle")
        tab.evaluate("sessionStorage.setItem('tongying.token', 'ended')")
        tab.evaluate(LOAD, tab.evaluate(SERIES)["jpeg2000"]["images"][0])
        tab.get_by_test_id("sign-in").wait_for()
        assert tab.evaluate("sessionStorage.getItem('tongying.return')") == door


def test_a_link_in_our_viewer_opens_it(server: Server, ct: Study) -> None:
    with browser.page(language="zh-CN") as tab:
        _, complaints = watched(tab)
        browser.sign_in(tab, server)
        tab.goto(f"{server.url}/study/{ct.uid}")
        link = tab.get_by_test_id("open-ohif")
        link.wait_for()
        assert link.get_attribute("title") == "在 OHIF 中打开"
        link.click()
        assert_shows(tab, ct)
        series = tab.evaluate(SERIES)
        jpeg2000, tilted = series.pop("jpeg2000"), series.pop("tilted")
        assert_decodes(tab, jpeg2000["images"][0])
        assert tilted["volume"] is False, "a tilted gantry is not laid out as if it were straight"
        assert [straight["volume"] for straight in series.values()] == [True]
        assert complaints == []


def viewer(study: Study) -> str:
    return f"/ohif/viewer?StudyInstanceUIDs={study.uid}"


def watched(tab: Page) -> tuple[list[Request], list[str]]:
    """Every request; and what the browser complains of: the policy, files that are not there."""
    asked: list[Request] = []
    complaints: list[str] = []
    tab.on("request", lambda request: asked.append(request))
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    return asked, complaints


def assert_shows(tab: Page, study: Study) -> None:
    """A slice of the study is on the screen: the one that OHIF says, and not its neighbour."""
    image = eventually(lambda: tab.evaluate(OPENED), 60, "an image is opened")
    uids = [dcmread(f, stop_before_pixels=True).SOPInstanceUID for f in study.files]
    (index,) = (i for i, uid in enumerate(uids) if f"/instances/{uid}/" in image)

    def likeness(i: int) -> float:
        shot = displayed(browser.picture(tab.locator(CANVAS).first), expected(study, i).shape).mean(axis=2)
        return alike(shot, expected(study, i)) if shot.std() > 1 else 0.0

    eventually(lambda: likeness(index) > 0.9, 30, "its pixels show")
    assert likeness((index + 1) % len(uids)) < 0.8


def assert_decodes(tab: Page, image: str) -> None:
    """JPEG 2000, in the worker that may compile strings: value by value."""
    dataset = dcmread(package_file(JPEG_2000))
    wanted = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    assert np.array_equal(np.array(json.loads(tab.evaluate(PIXELS, image))).reshape(wanted.shape), wanted)
