"""The whole way with foreign tools only: DCMTK's storescu in; curl and headless Chromium out."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, Route, expect
from pydicom import dcmread
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import generate_uid

from tests.support import browser
from tests.support.dicom import storescu
from tests.support.server import PASSWORD, Server, eventually
from tests.support.studies import Study, ct_study, mr_study, ultrasound_study

pytestmark = pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: make tools")


@pytest.fixture(scope="module")
def studies(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    """A CT, an MR and an ultrasound study, sent by storescu."""
    folder = tmp_path_factory.mktemp("studies")
    made = {
        "CT": ct_study(folder / "ct", name="Wang^Xiaoming=王^小明", patient_id="WHOLE-CT"),
        "MR": mr_study(folder / "mr", patient_id="WHOLE-MR"),
        "US": ultrasound_study(folder / "us", patient_id="WHOLE-US"),
    }
    for kind, study in made.items():
        syntax = ["-xy"] if kind == "US" else []
        sent = storescu(server.dicom_port, *syntax, *study.files)
        assert sent.returncode == 0, sent.stderr
    for study in made.values():
        wait_searchable(server, study.uid)
    return made


@pytest.fixture(scope="module")
def two_series(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("two-series")
    study = ct_study(folder, slices=4, patient_id="WHOLE-TWO")
    other = generate_uid()
    for path in study.files[2:]:
        dataset = dcmread(path)
        dataset.SeriesInstanceUID, dataset.SeriesNumber = other, 9
        dataset.save_as(path)
    assert storescu(server.dicom_port, *study.files).returncode == 0
    wait_searchable(server, study.uid)
    return study


def wait_searchable(server: Server, uid: str) -> None:
    eventually(lambda: "series" in curl(server, f"/api/studies/{uid}"), 20, "the study is searchable")


def curl(server: Server, path: str, *arguments: str) -> Any:
    """JSON by curl."""
    return json.loads(curl_bytes(server, path, *arguments))


def curl_bytes(server: Server, path: str, *arguments: str) -> bytes:
    form = f"username=admin&password={PASSWORD}"
    command = ["curl", "-sS", "-d", form, f"{server.url}/api/auth/token"]
    token = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["access_token"]
    command = ["curl", "-sS", "-H", f"Authorization: Bearer {token}", *arguments, server.url + path]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_curl_finds_and_retrieves_what_was_sent(server: Server, studies: dict[str, Study]) -> None:
    ct = studies["CT"]
    (found,) = curl(server, f"/dicom-web/studies?StudyInstanceUID={ct.uid}")
    assert found["00201208"]["Value"] == [len(ct.files)]
    assert found["00100010"]["Value"] == [{"Alphabetic": "Wang^Xiaoming", "Ideographic": "王^小明"}]
    for query in ("wang", "xiaom", "王小", "王", "wxm", "WHOLE-CT"):
        page = curl(server, "/api/studies", "-G", "--data-urlencode", f"q={query}")
        assert ct.uid in {s["study_uid"] for s in page["studies"]}, query
    accept = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
    answer = curl_bytes(server, f"/dicom-web/studies/{studies['US'].uid}", "-H", accept)
    original = studies["US"].files[0].read_bytes()
    sent = dcmread(studies["US"].files[0])
    frame = sent.PixelData
    assert frame in answer, "the compressed pixels came back as they were sent"
    assert len(answer) < len(original) + 4096


def test_ct_scrolls_windows_and_zooms(server: Server, studies: dict[str, Study]) -> None:
    ct = studies["CT"]
    with browser.page() as tab:
        browser.sign_in(tab, server)
        tab.get_by_test_id("search").fill("小明")
        row = tab.get_by_test_id("study-row").filter(has_text="WHOLE-CT")
        row.wait_for()
        eventually(
            lambda: row.locator("img").first.evaluate("i => i.naturalWidth") > 0, 20, "its thumbnail shows"
        )
        row.dblclick()
        shown(tab, ct, 0)
        assert_pixels(tab, ct, 0)
        tab.get_by_test_id("viewport").first.click(position={"x": 5, "y": 200})
        for _ in range(3):
            tab.keyboard.press("ArrowDown")
        shown(tab, ct, 3)
        assert_pixels(tab, ct, 3)
        assert_screen(tab, ct, 3, unlike=2)
        before = state(tab)
        drag(tab, 60, 40)
        eventually(lambda: state(tab)["window"] != before["window"], 10, "dragging changes the window")
        assert_screen(tab, ct, 3, unlike=2)
        tab.get_by_test_id("tool-zoom").click()
        drag(tab, 0, 80)
        eventually(lambda: state(tab)["zoom"] != before["zoom"], 10, "dragging zooms")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_servers_picture_stands_while_the_viewer_is_on_its_way(
    server: Server, studies: dict[str, Study], width: int, height: int
) -> None:
    """On a slow line its code takes seconds: who it is and the first image, marked as a preview, are there before."""
    ct = studies["CT"]
    with browser.page(width=width, height=height) as tab:
        browser.sign_in(tab, server)
        held = hold_the_viewer(tab)
        tab.goto(f"{server.url}/study/{ct.uid}")
        preview = tab.get_by_test_id("preview")
        preview.wait_for(timeout=20_000)
        assert tab.get_by_test_id("opening").inner_text().count("WHOLE-CT") == 1
        assert "not for reading" in preview.inner_text()
        eventually(
            lambda: state(tab) == {} and held, 20, "the viewer's code is asked for, and nothing runs yet"
        )
        shot = displayed(browser.picture(preview), expected(ct, 0).shape).mean(axis=2)
        assert alike(shot, expected(ct, 0)) > 0.97 > 0.9 > alike(shot, expected(ct, 1))
        place = preview.bounding_box()
        held[0].continue_()
        shown(tab, ct, 0)
        assert preview.count() == 0
        assert tab.get_by_test_id("viewport").first.bounding_box() == place, "nothing jumped"


def hold_the_viewer(tab: Page) -> list[Route]:
    """Requests for the viewer's code, which wait here until they are continued."""
    held: list[Route] = []
    tab.route("**/ViewerPage*.js", lambda route: held.append(route))  # it marks the function
    return held


def test_a_series_chosen_early_is_the_one_that_opens(server: Server, two_series: Study) -> None:
    with browser.page() as tab:
        browser.sign_in(tab, server)
        held = hold_the_viewer(tab)
        tab.goto(f"{server.url}/study/{two_series.uid}")
        second = tab.get_by_test_id("series-item").nth(1)
        second.click()
        uid = second.get_attribute("data-series")
        eventually(lambda: state(tab) == {} and held, 20, "the viewer's code is asked for")
        held[0].continue_()
        eventually(lambda: state(tab).get("phase") == "shown", 40, "an image is shown")
        assert state(tab)["seriesUid"] == uid


def test_mr_opens(server: Server, studies: dict[str, Study]) -> None:
    mr = studies["MR"]
    with browser.page() as tab:
        browser.sign_in(tab, server)
        tab.goto(f"{server.url}/study/{mr.uid}")
        shown(tab, mr, 0)
        assert_pixels(tab, mr, 0)


def test_a_dialog_gives_the_focus_back(server: Server, studies: dict[str, Study]) -> None:
    """To the button that the keyboard opened it with; after a click the keys are the picture's again."""
    with browser.page() as tab:
        browser.sign_in(tab, server)
        tab.goto(f"{server.url}/study/{studies['MR'].uid}")
        shown(tab, studies["MR"], 0)
        button, dialog = tab.get_by_test_id("tool-help"), tab.get_by_test_id("help")
        way_out = dialog.get_by_role("button")
        for key in ("Enter", "Escape"):  # on the way out, which has the focus, and anywhere
            button.press("Enter")
            dialog.wait_for()
            tab.keyboard.press(key)
            expect(button).to_be_focused()
            expect(dialog).to_have_count(0)
        button.click()
        dialog.wait_for()
        way_out.click()
        expect(dialog).to_have_count(0)
        expect(button).not_to_be_focused()
        tab.keyboard.press("Home")
        shown(tab, studies["MR"], 0)


def test_the_ultrasound_loop_plays_in_colour_at_its_rate(server: Server, studies: dict[str, Study]) -> None:
    us = studies["US"]
    with browser.page() as tab:
        browser.sign_in(tab, server)
        tab.goto(f"{server.url}/study/{us.uid}")
        eventually(lambda: state(tab).get("playing"), 30, "the loop plays on opening")
        assert state(tab)["fps"] == pytest.approx(10, abs=0.1)
        seen: set[int] = set()
        eventually(lambda: (seen.add(state(tab)["index"]), len(seen) > 5)[1], 20, "frames go by")  # type: ignore[func-returns-value]
        tab.get_by_test_id("play").click()
        eventually(lambda: not state(tab)["playing"], 10, "it pauses")
        time.sleep(0.5)
        index = state(tab)["index"]
        frame = dcmread(us.files[0]).pixel_array[index]
        seen_frame = displayed(browser.picture(tab.get_by_test_id("viewport").first), frame.shape[:2])
        for channel in range(3):
            assert alike(seen_frame[..., channel], frame[..., channel]) > 0.97
        assert alike(redness(seen_frame), redness(frame)) > 0.8, "the colour Doppler is in colour"


def test_in_chinese_on_a_phone(server: Server, studies: dict[str, Study]) -> None:
    with browser.page(width=390, height=844, language="zh-CN", touch=True) as tab:
        browser.sign_in(tab, server)
        assert "通影" in tab.content()
        tab.get_by_test_id("search").fill("WHOLE-CT")
        row = tab.get_by_test_id("study-row").filter(has_text="WHOLE-CT")
        row.wait_for()
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"


def state(tab: Page) -> dict[str, Any]:
    found = tab.evaluate("window.__tongying ? window.__tongying.state() : null")
    return found or {}


def shown(tab: Page, study: Study, index: int) -> None:
    """Until the image at this index is on the screen, and the right one."""
    eventually(
        lambda: state(tab).get("phase") == "shown" and state(tab)["index"] == index, 40, f"image {index}"
    )
    assert state(tab)["sopUid"] == dcmread(study.files[index], stop_before_pixels=True).SOPInstanceUID


def expected(study: Study, index: int) -> NDArray[Any]:
    dataset = dcmread(study.files[index])
    return np.asarray(apply_modality_lut(dataset.pixel_array, dataset))


def assert_pixels(tab: Page, study: Study, index: int) -> None:
    """The viewer's values are the study's, one by one."""
    found = tab.evaluate("window.__tongying.pixels()")
    values = np.array(found["data"]).reshape(found["rows"], found["columns"])
    dataset = dcmread(study.files[index])
    exact = [expected(study, index), dataset.pixel_array]  # values before or after the modality LUT
    assert any(np.array_equal(values, e) for e in exact)


def assert_screen(tab: Page, study: Study, index: int, *, unlike: int) -> None:
    """What the screen shows is this slice in this window, and not its neighbour."""
    shot = displayed(browser.picture(tab.get_by_test_id("viewport").first), expected(study, index).shape)
    voi = state(tab)["voi"]
    likeness = [alike(shot.mean(axis=2), windowed(expected(study, i), voi)) for i in (index, unlike)]
    assert likeness[0] > 0.97, likeness
    assert likeness[1] < 0.9, likeness


def displayed(shot: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[Any]:
    """The image on a screenshot of its viewport, which it fills as far as its proportions allow, at its own size."""
    rows, columns = shape[:2]
    scale = min(shot.shape[0] / rows, shot.shape[1] / columns)
    height, width = round(rows * scale), round(columns * scale)
    top, left = (shot.shape[0] - height) // 2, (shot.shape[1] - width) // 2
    part = Image.fromarray(shot[top : top + height, left : left + width])
    return np.asarray(part.resize((columns, rows), Image.Resampling.BOX)).astype(float)


def windowed(values: NDArray[Any], voi: dict[str, float]) -> NDArray[Any]:
    return np.asarray(np.clip((values - voi["lower"]) / (voi["upper"] - voi["lower"]), 0, 1))


def redness(picture: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(picture[..., 0].astype(float) - picture[..., 2])


def alike(seen: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Correlation of the middles; overlays stand at the edges."""
    rows, columns = (slice(n // 5, -n // 5) for n in wanted.shape[:2])
    return float(np.corrcoef(seen[rows, columns].ravel(), wanted[rows, columns].astype(float).ravel())[0, 1])


def drag(tab: Page, dx: int, dy: int) -> None:
    box = tab.get_by_test_id("viewport").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + dx, y + dy, steps=8)
    tab.mouse.up()


def test_bytes_of_every_slice_come_back(server: Server, studies: dict[str, Study]) -> None:
    """DCMTK re-encodes what it sends from its own parse; for these files that is the identity."""
    mr = studies["MR"]
    accept = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
    answer = curl_bytes(server, f"/dicom-web/studies/{mr.uid}", "-H", accept)
    digests = {hashlib.sha256(dcmread(f).PixelData).hexdigest() for f in mr.files}
    assert len(digests) <= len(mr.files)
    assert all(dcmread(f).PixelData in answer for f in mr.files)
