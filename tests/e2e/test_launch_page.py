"""A doctor comes from the hospital's own system into the viewer, without signing in here."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.integration.test_launch import signed
from tests.support import browser
from tests.support.dicom import describe, send_raw
from tests.support.server import Server
from tests.support.signing import staff
from tests.support.studies import ct_study
from tests.support.watch import settled

pytestmark = pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: make tools")
SECONDS = 30


def test_from_another_system_into_the_study(server: Server, tmp_path: Path) -> None:
    study = ct_study(tmp_path, slices=3, patient_id="LAUNCH-1")
    send_raw(server.dicom_port, map(describe, study.files))
    settled(server)
    staff(server, "dr-launched", "LOCAL", "clinician")
    key = server.run("client", "add", "his", "--scope", "launch").stdout.strip()
    asked = {"requestType": "STUDY", "studyUID": study.uid}
    launch = signed(key, asked, sub="dr-launched")
    address = f"{server.url}/IHEInvokeImageDisplay?{urlencode({**asked, 'launch': launch})}"
    with browser.page() as tab:
        tab.goto(address)
        tab.wait_for_url(f"**/study/{study.uid}")
        tab.locator("canvas").first.wait_for(timeout=SECONDS * 1000)
        assert "ticket" not in tab.url
        browser.screenshot(tab, "launch-study")
        tab.goto(server.url)
        expect(tab.get_by_text("dr-launched")).to_be_visible(timeout=SECONDS * 1000)
    with browser.page(language="zh-CN") as tab:
        answer = tab.goto(address)
        assert answer is not None
        assert answer.status == 401
        expect(tab.get_by_text("此链接已失效")).to_be_visible()
        browser.screenshot(tab, "launch-refused")
