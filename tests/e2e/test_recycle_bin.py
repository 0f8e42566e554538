"""An administrator rejects a study in the viewer, finds it in the recycle bin, restores it, and erases another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support import browser
from tests.support.dicom import describe, send_raw
from tests.support.server import Server, eventually
from tests.support.signing import client_of, staff
from tests.support.studies import Study, ct_study, mr_study
from tests.support.watch import settled, whole

pytestmark = pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: make tools")
SECONDS = 20


@pytest.fixture(scope="module")
def hospital(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Study, Study]]:
    running = Server(workspace / "bin").start()
    staff(running, "admin-here", "LOCAL")
    staff(running, "dr-here", "LOCAL", "clinician")
    folder = tmp_path_factory.mktemp("bin")
    ct = ct_study(folder / "ct", name="Chen^Wei=陈^伟", patient_id="BIN-1")
    mr = mr_study(folder / "mr", name="Wu^Min=吴^敏", patient_id="BIN-2")
    for study in (ct, mr):
        assert set(send_raw(running.dicom_port, map(describe, study.files)).values()) == {0}
    running.wait_indexed(len(ct.files) + len(mr.files))
    settled(running)
    yield running, ct, mr
    whole(running)
    running.remove()


def rejected(tab: Page, server: Server, study: Study, name: str) -> None:
    """By way of the viewer, until the bin shows it."""
    tab.goto(f"{server.url}/study/{study.uid}")
    tab.get_by_test_id("reject").click()
    dialog = tab.get_by_test_id("reject-dialog")
    expect(dialog.get_by_test_id("reject-submit")).to_be_disabled()
    dialog.get_by_test_id("reject-why").select_option("113037")
    dialog.get_by_test_id("reject-reason").fill("另一位患者")
    browser.screenshot(tab, f"reject-{name}")
    dialog.get_by_test_id("reject-submit").click()
    expect(dialog.get_by_test_id("rejected")).to_be_visible()
    eventually(lambda: not listed(server, study), SECONDS, "it is gone")
    dialog.get_by_test_id("to-bin").click()


def listed(server: Server, study: Study) -> bool:
    found = server.client.get("/dicom-web/studies", params={"StudyInstanceUID": study.uid})
    return found.status_code == 200 and bool(found.json())


@pytest.mark.parametrize("language", ["zh-CN", "en-GB"])
def test_rejected_found_restored_and_erased(hospital: tuple[Server, Study, Study], language: str) -> None:
    server, *studies = hospital
    study = studies[language == "en-GB"]
    patient, words = (("BIN-1", "陈伟"), ("BIN-2", "吴敏"))[language == "en-GB"]
    with browser.page(language=language) as tab:
        browser.sign_in(tab, server, "admin-here")
        rejected(tab, server, study, language)
        row = tab.locator(f"[data-testid=rejection-row][data-patient={patient}]")
        expect(row).to_contain_text(words)
        expect(row).to_contain_text("另一位患者")
        expect(row).to_contain_text("admin-here")
        browser.screenshot(tab, f"bin-{language}")
        row.get_by_test_id("restore").click()
        expect(row).to_have_count(0)
        eventually(lambda: listed(server, study), SECONDS, "it is there again")
        tab.get_by_test_id("bin-restored").click()
        expect(row).to_be_visible()
        rejected(tab, server, study, "again")
        row.get_by_test_id("erase").click()
        browser.screenshot(tab, f"bin-sure-{language}")
        row.get_by_test_id("erase-yes").click()
        expect(row).to_have_count(0)
        tab.get_by_test_id("bin-erased").click()
        expect(row).to_be_visible()
        expect(row.get_by_test_id("restore")).to_have_count(0)
        tab.set_viewport_size({"width": 390, "height": 844})
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
        browser.screenshot(tab, f"bin-phone-{language}")
    with client_of(server, "admin-here") as admin:
        states = {
            one["state"]
            for one in admin.get("/api/rejections").json()["rejections"]
            if one["patient_id"] == patient
        }
    assert states == {"restored", "erased"}


def test_who_does_not_administer_has_no_way_to_it(hospital: tuple[Server, Study, Study]) -> None:
    server, _, _ = hospital
    other = ct_study(server.data / "other", name="Li^Na=李^娜", patient_id="BIN-3")
    assert set(send_raw(server.dicom_port, map(describe, other.files)).values()) == {0}
    eventually(lambda: listed(server, other), SECONDS, "it is there")
    with browser.page() as tab:
        browser.sign_in(tab, server, "dr-here")
        tab.goto(f"{server.url}/study/{other.uid}")
        tab.get_by_test_id("share").wait_for()
        expect(tab.get_by_test_id("reject")).to_have_count(0)
