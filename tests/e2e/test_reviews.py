"""Who is one person, decided in the browser: a pair that comparison leaves to a human is linked, parted
again, and linked after all."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect
from pydicom import dcmread

from pacs.identity.resident import check_character
from tests.support import browser
from tests.support.ps318 import store
from tests.support.server import Server, eventually
from tests.support.signing import client_of, staff
from tests.support.studies import mr_study

pytestmark = pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: make tools")
FIRST17 = "33020319880715458"  # a district, a birth date, a number that is even for women; nobody's
RESIDENT = FIRST17 + check_character(FIRST17)
MASKED = RESIDENT[:2] + "*" * 14 + RESIDENT[-2:]
SECONDS = 30


def arrives(server: Server, folder: Path, name: str, who: str) -> None:
    """Somebody with this resident number, at the hospital of an administrator."""
    sent = [dcmread(path) for path in mr_study(folder, slices=1, name=name, patient_id=RESIDENT).files]
    sent[0].PatientBirthDate, sent[0].PatientSex = "19880715", "F"
    with client_of(server, who) as client:
        assert store(server, sent, client=client).status_code == 200


def is_linked(server: Server) -> bool:
    patients = [p for one in server.get("/api/persons")["persons"] for p in one["patients"]]
    return [p["facility"] for p in patients if p["patient_id"] == MASKED] == ["NORTH", "SOUTH"]


def test_a_lent_card_is_looked_at(server: Server, tmp_path: Path) -> None:
    for code, name in (("NORTH", "Chen^Xia"), ("SOUTH", "Zhou^Mei")):
        facility = {"code": code, "name": f"{code}医院", "name_en": f"{code} Hospital"}
        server.client.post("/api/facilities", json=facility).raise_for_status()
        staff(server, f"admin-{code.lower()}", code)
        arrives(server, tmp_path / code, name, f"admin-{code.lower()}")
    eventually(lambda: server.get("/api/persons/reviews")["reviews"], SECONDS, "the pair is left to a human")
    with browser.page() as tab:
        browser.sign_in(tab, server)
        tab.get_by_test_id("to-persons").click()
        pair = tab.get_by_test_id("review").filter(has_text=MASKED)
        expect(pair).to_contain_text("Chen Xia", timeout=SECONDS * 1000)
        expect(pair).to_contain_text("Zhou Mei")
        expect(pair.locator("tr.differ")).to_have_count(1)
        browser.screenshot(tab, "reviews-open")
        pair.get_by_test_id("review-accept").click()
        expect(pair).to_have_count(0, timeout=SECONDS * 1000)
        assert is_linked(server)
        browser.screenshot(tab, "reviews-linked")
        tab.get_by_test_id("review-undo").click()
        expect(tab.get_by_test_id("review-undo")).to_have_count(0, timeout=SECONDS * 1000)
        assert not is_linked(server)
    with browser.page(language="zh-CN") as tab:
        browser.sign_in(tab, server)
        tab.get_by_test_id("to-persons").click()
        tab.get_by_role("button", name="不同人", exact=True).first.click()
        refused = tab.get_by_test_id("review").filter(has_text=MASKED)
        expect(refused).to_contain_text("由admin确认", timeout=SECONDS * 1000)
        expect(refused.get_by_test_id("review-refuse")).to_have_count(0)
        browser.screenshot(tab, "reviews-refused")
        refused.get_by_test_id("review-accept").click()
        expect(refused).to_have_count(0, timeout=SECONDS * 1000)
    assert is_linked(server)


def test_others_have_no_way_to_it(server: Server) -> None:
    staff(server, "dr-no-reviews", None, "clinician")
    with browser.page() as tab:
        browser.sign_in(tab, server, "dr-no-reviews")
        assert tab.get_by_test_id("to-persons").count() == 0
        tab.goto(f"{server.url}/persons")
        expect(tab.get_by_role("alert").first).to_be_visible(timeout=SECONDS * 1000)
