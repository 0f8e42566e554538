"""The auditor's page: what was done a moment ago, and whether the chain holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support import browser
from tests.support.dicom import describe, send_raw
from tests.support.server import Server
from tests.support.studies import ct_study
from tests.support.watch import settled

pytestmark = pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: make tools")
SECONDS = 20


def test_who_looked(server: Server, tmp_path: Path) -> None:
    study = ct_study(tmp_path, slices=2, patient_id="AUDIT-PAGE-1")
    send_raw(server.dicom_port, map(describe, study.files))
    settled(server)
    server.get(f"/api/studies/{study.uid}")
    with browser.page() as tab:
        browser.sign_in(tab, server)
        tab.get_by_test_id("to-audit").click()
        expect(tab.get_by_test_id("chain")).to_contain_text("Chain verified", timeout=SECONDS * 1000)
        tab.get_by_test_id("audit-patient").fill("AUDIT-PAGE-1")
        tab.get_by_test_id("audit-action").select_option("view")
        row = tab.get_by_test_id("audit-row").first
        expect(row).to_contain_text("LOCAL / AUDIT-PAGE-1", timeout=SECONDS * 1000)
        expect(row).to_contain_text("admin")
        assert {r.get_attribute("data-action") for r in tab.get_by_test_id("audit-row").all()} == {"view"}
        browser.screenshot(tab, "audit")
        tab.get_by_test_id("looked-facility").fill("LOCAL")
        with tab.expect_download() as sheet:
            tab.get_by_test_id("looked").click()
        written = Path(sheet.value.path()).read_text("utf-8")
        assert "LOCAL / AUDIT-PAGE-1" in written
        assert "admin" not in written.casefold().replace("administrator", ""), "without names"
        tab.get_by_test_id("audit-who").fill("nobody")
        expect(tab.get_by_text("No entry fits.")).to_be_visible(timeout=SECONDS * 1000)
