"""The glass is broken in the browser: a doctor opens another hospital's images of her own patient, and that hospital is
told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from pydicom import dcmread

from pacs.identity.resident import check_character
from tests.support import browser
from tests.support.ps318 import store
from tests.support.server import Server, eventually
from tests.support.signing import client_of, staff
from tests.support.studies import Study, ct_study, mr_study

pytestmark = pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: make tools")
FIRST17 = "33020319880715452"  # a district, a birth date, a number that is odd for men; nobody's
RESIDENT = FIRST17 + check_character(FIRST17)
REASON = "Unconscious after a fall, anticoagulated; is the bleed old?"
SECONDS = 30


@pytest.fixture(scope="module")
def region(workspace: Path) -> Iterator[Server]:
    """Two hospitals that share nothing, a doctor in one, an administrator in each."""
    running = Server(workspace / "emergency").start()
    for code, name, english in (("EAST", "城东医院", "East Hospital"), ("WEST", "城西医院", "West Hospital")):
        facility = {"code": code, "name": name, "name_en": english}
        running.client.post("/api/facilities", json=facility).raise_for_status()
        staff(running, f"admin-{code.lower()}", code)
    staff(running, "dr-lin", "EAST", "clinician")
    yield running
    running.remove()


def stored(server: Server, study: Study, who: str) -> None:
    """By the hospital's own administrator, so that it is the hospital's."""
    sent = [dcmread(path) for path in study.files]
    for one in sent:
        one.PatientBirthDate, one.PatientSex = "19880715", "F"
    with client_of(server, who) as client:
        assert store(server, sent, client=client).status_code == 200


def test_the_glass_is_broken_and_the_owner_is_told(region: Server, tmp_path: Path) -> None:
    here = mr_study(tmp_path / "east", name="Lin^Fang", patient_id=RESIDENT)
    there = ct_study(tmp_path / "west", name="Lin^Fang", patient_id=RESIDENT)
    stored(region, here, "admin-east")
    stored(region, there, "admin-west")
    region.wait_indexed(len(here.files) + len(there.files))
    eventually(lambda: region.get("/api/persons")["persons"], SECONDS, "the patients are one person")
    with browser.page() as tab:
        browser.sign_in(tab, region, "dr-lin")
        assert tab.get_by_test_id("to-alerts").count() == 0
        rows = tab.get_by_test_id("study-row")
        expect(rows).to_have_count(1, timeout=SECONDS * 1000)
        expect(rows).to_contain_text("33**************22")
        tab.get_by_test_id("search").fill(RESIDENT)
        tab.wait_for_url("**q=*")  # what is typed is searched for after a moment
        tab.get_by_test_id("to-emergency").click()
        submit = tab.get_by_test_id("emergency-open")
        expect(tab.get_by_test_id("emergency-patient")).to_have_value(RESIDENT)
        expect(submit).to_be_disabled()
        tab.get_by_test_id("emergency-reason").fill("urgent")
        expect(submit).to_be_disabled()
        tab.get_by_test_id("emergency-reason").fill(REASON)
        browser.screenshot(tab, "emergency-asked")
        submit.click()
        opened = tab.get_by_test_id("emergency-study")
        expect(opened).to_have_count(2, timeout=SECONDS * 1000)
        expect(tab.get_by_test_id("emergency-result")).to_contain_text("West Hospital")
        browser.screenshot(tab, "emergency-opened")
        opened.filter(has_text="West Hospital").click()
        tab.wait_for_url(f"**/study/{there.uid}")
        tab.locator("canvas").first.wait_for(timeout=SECONDS * 1000)
        browser.screenshot(tab, "emergency-read")
        assert RESIDENT not in tab.inner_text("body"), "in the overlay or the line of the patient"
    with browser.page(language="zh-CN") as tab:
        browser.sign_in(tab, region, "admin-west")
        assert tab.get_by_test_id("to-emergency").count() == 0
        expect(tab.get_by_test_id("to-alerts")).to_contain_text("1", timeout=SECONDS * 1000)
        tab.get_by_test_id("to-alerts").click()
        alert = tab.get_by_test_id("alert")
        expect(alert).to_have_count(1)
        expect(alert).to_contain_text("dr-lin")
        expect(alert).to_contain_text("33**************22")
        expect(alert).to_contain_text(REASON)
        browser.screenshot(tab, "emergency-told")
        tab.get_by_test_id("alert-note").click()
        expect(alert).to_contain_text("admin-west")
    told = region.get("/api/audit", action="grant", limit=10)["entries"]
    assert [e["who"] for e in told] == ["dr-lin"]
    assert there.uid in told[0]["studies"]


def test_what_is_not_ones_own_patient_opens_nothing(region: Server) -> None:
    with browser.page() as tab:
        browser.sign_in(tab, region, "dr-lin")
        tab.get_by_test_id("to-emergency").click()
        tab.get_by_test_id("emergency-patient").fill("NOBODY-4711")
        tab.get_by_test_id("emergency-reason").fill(REASON)
        tab.get_by_test_id("emergency-open").click()
        expect(tab.get_by_role("alert")).to_contain_text("not one of your hospital", timeout=SECONDS * 1000)
