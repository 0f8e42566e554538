"""A doctor makes a link in the browser, and the patient opens it: sees these studies, who looked, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect
from pydicom import dcmread

from tests.support import browser
from tests.support.ps318 import part10
from tests.support.server import Server
from tests.support.signing import bearer, signed_in, staff
from tests.support.studies import Study, ct_study, mr_study
from tests.support.watch import settled

pytestmark = pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: make tools")
PATIENT = "SHARE-LINK-1"
MILLISECONDS = 30_000


@pytest.fixture(scope="module")
def hospital(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Study, Study]]:
    """A hospital with a doctor, two studies of one patient, and one of somebody else."""
    running = Server(workspace / "share").start()
    facility = {"code": "EAST", "name": "城东医院", "name_en": "East Hospital"}
    running.client.post("/api/facilities", json=facility).raise_for_status()
    staff(running, "admin-east", "EAST")
    staff(running, "dr-lin", "EAST", "clinician")
    folder = tmp_path_factory.mktemp("share")
    ct = ct_study(folder / "ct", name="Chen^Wei=陈^伟", patient_id=PATIENT)
    mr = mr_study(folder / "mr", name="Chen^Wei=陈^伟", patient_id=PATIENT)
    other = mr_study(folder / "other", name="Wu^Min", patient_id="SHARE-LINK-2")
    for study in (ct, mr, other):
        stored(running, study)
    running.wait_indexed(sum(len(s.files) for s in (ct, mr, other)))
    settled(running)
    yield running, ct, mr
    running.remove()


def stored(server: Server, study: Study) -> None:
    headers = bearer(signed_in(server, "admin-east")) | {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=frontier'
    }
    parts = (
        b"--frontier\r\nContent-Type: application/dicom\r\n\r\n" + part10(dcmread(p)) for p in study.files
    )
    content = b"\r\n".join(parts) + b"\r\n--frontier--\r\n"
    answer = httpx.post(f"{server.url}/dicom-web/studies", content=content, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


def test_a_link_is_made_opened_and_ended(hospital: tuple[Server, Study, Study]) -> None:
    server, ct, mr = hospital
    with browser.page() as tab:
        browser.sign_in(tab, server, "dr-lin")
        tab.locator(f'[data-study="{ct.uid}"]').click()
        tab.locator("canvas").first.wait_for(timeout=MILLISECONDS)
        tab.get_by_test_id("share").click()
        studies = tab.get_by_test_id("share-study")
        expect(studies).to_have_count(2, timeout=MILLISECONDS)
        studies.nth(1).get_by_role("checkbox").check()
        browser.screenshot(tab, "share-asked")
        tab.get_by_test_id("share-make").click()
        expect(tab.get_by_test_id("share-made")).to_be_visible(timeout=MILLISECONDS)
        url, code = (
            tab.get_by_test_id("share-url").input_value(),
            tab.get_by_test_id("share-code").inner_text(),
        )
        tab.get_by_test_id("share-copy").click()
        expect(tab.get_by_test_id("share-copy")).to_have_text("Copied")
        browser.screenshot(tab, "share-made")
        tab.emulate_media(media="print")
        expect(tab.get_by_test_id("share-sheet")).to_be_visible()
        assert not tab.get_by_test_id("share-code").is_visible(), "the code is not on the paper"
        browser.screenshot(tab, "share-printed")
    as_patient(server, url, code, ct, mr)
    with browser.page() as tab:
        browser.sign_in(tab, server, "dr-lin")
        tab.goto(f"{server.url}/study/{ct.uid}")
        tab.get_by_test_id("share").click()
        given = tab.get_by_test_id("given-link")
        expect(given).to_contain_text("last opened", timeout=MILLISECONDS)
        tab.get_by_test_id("share-revoke").click()
        expect(given).to_contain_text("ended", timeout=MILLISECONDS)
        browser.screenshot(tab, "share-ended")
    with browser.page(language="zh-CN") as tab:
        tab.goto(url)
        tab.get_by_test_id("link-code").fill(code)
        tab.get_by_test_id("open-shared").click()
        expect(tab.get_by_role("alert")).to_contain_text("链接已失效", timeout=MILLISECONDS)
        browser.screenshot(tab, "share-over")


def as_patient(server: Server, url: str, code: str, ct: Study, mr: Study) -> None:
    """On a telephone, in Chinese."""
    with browser.page(width=390, height=780, language="zh-CN", touch=True) as tab:
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(url)
        tab.get_by_test_id("link-code").fill("000000" if code != "000000" else "111111")
        tab.get_by_test_id("open-shared").click()
        expect(tab.get_by_role("alert")).to_contain_text("不正确", timeout=MILLISECONDS)
        browser.screenshot(tab, "share-code")
        tab.get_by_test_id("link-code").fill(code)
        tab.get_by_test_id("open-shared").click()
        expect(tab.get_by_test_id("shared-study")).to_have_count(2, timeout=MILLISECONDS)
        expect(tab.get_by_test_id("shared")).to_contain_text("城东医院")
        expect(tab.get_by_test_id("look").first).to_be_visible(timeout=MILLISECONDS)
        expect(tab.get_by_test_id("shared")).not_to_contain_text("dr-lin")
        browser.screenshot(tab, "share-shared")
        assert "#" not in tab.url, "the secret is not in the address any more"
        secret = url.partition("#link=")[2].partition("&")[0]
        assert not any(secret in address for address in asked), "nor in any that was asked for"
        tab.locator(f'[href="/study/{ct.uid}"]').click()
        tab.locator("canvas").first.wait_for(timeout=MILLISECONDS)
        assert tab.get_by_test_id("share").count() == tab.get_by_test_id("open-ohif").count() == 0
        browser.screenshot(tab, "share-read")
        tab.get_by_test_id("back").click()
        expect(tab.get_by_test_id("shared")).to_be_visible(timeout=MILLISECONDS)
        tab.goto(f"{server.url}/?q=Wu")
        expect(tab.get_by_test_id("shared-study")).to_have_count(2, timeout=MILLISECONDS)
        tab.reload()
        expect(tab.get_by_test_id("shared-study")).to_have_count(2, timeout=MILLISECONDS)
        tab.get_by_test_id("leave-link").click()
        expect(tab.get_by_test_id("username")).to_be_visible(timeout=MILLISECONDS)


def test_a_link_of_one_study_opens_the_viewer(hospital: tuple[Server, Study, Study]) -> None:
    server, _, mr = hospital
    body = {"studies": [mr.uid], "with_code": False}
    made = httpx.post(
        f"{server.url}/api/share-links", json=body, headers=bearer(signed_in(server, "dr-lin"))
    ).json()
    with browser.page() as tab:
        tab.goto(made["url"])
        tab.wait_for_url(f"**/study/{mr.uid}", timeout=MILLISECONDS)
        tab.locator("canvas").first.wait_for(timeout=MILLISECONDS)
        browser.screenshot(tab, "share-one")
