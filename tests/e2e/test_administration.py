"""The administrators' page: a facility is added and shares, a user is added and signs in, a device is registered and
asked; who administers one facility sees that one alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support import browser
from tests.support.server import PASSWORD, Server
from tests.support.signing import signed_in, staff, token
from tests.support.watch import whole

pytestmark = pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: make tools")
SECONDS = 20
FAILURES = 3
SHANTY = "象山县第一人民医院"


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    running = Server(workspace / "administration", extra={"TONGYING_LOCKOUT_FAILURES": str(FAILURES)}).start()
    for code, name in (("NORTH", "城北医院"), ("SOUTH", "城南医院")):
        facility = {"code": code, "name": name, "name_en": f"{code.title()} Hospital", "tier": "city"}
        running.client.post("/api/facilities", json=facility).raise_for_status()
        staff(running, f"admin-{code.lower()}", code)
    staff(running, "dr-south", "SOUTH", "clinician")
    yield running
    whole(running)
    running.remove()


def fits(tab: Page) -> None:
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"


def opened(tab: Page, server: Server, part: str = "users", who: str = "admin") -> None:
    """A part of the page, by the way that people take."""
    browser.sign_in(tab, server, who)
    fits(tab)
    tab.get_by_test_id("to-admin").click()
    tab.get_by_test_id(f"tab-{part}").click()


def row(tab: Page, kind: str, name: str) -> Locator:
    attribute = {"user": "name", "facility": "code", "device": "title"}[kind]
    return tab.locator(f"[data-testid={kind}-row][data-{attribute}='{name}']")


def user_of(server: Server, name: str) -> dict[str, object]:
    found: dict[str, object] = next(u for u in server.get("/api/users")["users"] if u["name"] == name)
    return found


def test_a_facility_is_added_and_shares(server: Server) -> None:
    with browser.page(language="zh-CN") as tab:
        opened(tab, server, "facilities")
        tab.get_by_test_id("add-facility").click()
        tab.get_by_test_id("facility-code").fill("north")
        tab.get_by_test_id("save-facility").click()
        expect(tab.get_by_test_id("refused")).to_have_text("此机构代码已存在。")
        tab.get_by_test_id("facility-code").fill("xs-1")
        tab.get_by_test_id("facility-name").fill(SHANTY)
        tab.get_by_test_id("facility-name-en").fill("Xiangshan First Hospital")
        tab.get_by_test_id("facility-tier").select_option("county")
        tab.get_by_test_id("facility-grade").fill("二级甲等")
        browser.screenshot(tab, "admin-facility")
        tab.get_by_test_id("save-facility").click()
        policy = tab.get_by_test_id("policy-dialog")
        expect(policy).to_contain_text(SHANTY)
        expect(tab.get_by_test_id("scope-none")).to_be_checked()
        tab.get_by_test_id("scope-registered").check()
        tab.get_by_test_id("policy-modalities").fill("ct、 mr")
        browser.screenshot(tab, "admin-policy")
        tab.get_by_test_id("save-policy").click()
        expect(policy).to_have_count(0)
        expect(row(tab, "facility", "XS-1")).to_contain_text("在对方登记的患者")
        browser.screenshot(tab, "admin-facilities")
    assert server.get("/api/facilities/XS-1/sharing") == {
        "scope": "registered", "modalities": ["CT", "MR"], "sensitive_body_parts": [],
    }  # fmt: skip
    known = {f["code"]: f for f in server.get("/api/facilities")["facilities"]}
    assert known["XS-1"] == {
        "code": "XS-1", "name": SHANTY, "name_en": "Xiangshan First Hospital", "tier": "county", "grade": "二级甲等",
        "scope": "registered",
    }  # fmt: skip
    assert known["NORTH"]["scope"] == "none"


def test_a_user_is_added_and_signs_in(server: Server) -> None:
    with browser.page() as tab:
        opened(tab, server, "facilities", "admin-north")
        row(tab, "facility", "NORTH").get_by_test_id("facility-departments").click()
        tab.get_by_test_id("department-code").fill("er")
        tab.get_by_test_id("department-name").fill("急诊科")
        tab.get_by_test_id("save-department").click()
        expect(tab.get_by_test_id("department")).to_contain_text("急诊科")
        browser.screenshot(tab, "admin-departments")
        tab.keyboard.press("Escape")
        tab.get_by_test_id("tab-users").click()
        tab.get_by_test_id("add-user").click()
        assert tab.get_by_test_id("user-facility").count() == 0, "there is nothing to choose"
        tab.get_by_test_id("user-name").fill("li.na")
        tab.get_by_test_id("user-display-name").fill("李娜")
        tab.get_by_test_id("user-role").select_option("radiologist")
        tab.get_by_test_id("user-department").select_option("ER")
        tab.get_by_test_id("user-password").fill("12345678")
        tab.get_by_test_id("save-user").click()
        expect(tab.get_by_test_id("refused")).to_contain_text("guessed first")
        tab.get_by_test_id("user-password").fill("a first password")
        browser.screenshot(tab, "admin-user-new")
        tab.get_by_test_id("save-user").click()
        expect(tab.get_by_test_id("handed-password")).to_have_text("a first password")
        browser.screenshot(tab, "admin-user-hand-over")
        tab.get_by_test_id("handed-over").click()
        expect(row(tab, "user", "li.na")).to_contain_text("Radiologist")
        expect(row(tab, "user", "li.na")).to_contain_text("must choose a password")
    with browser.page() as tab:
        tab.goto(server.url)
        tab.get_by_test_id("username").fill("li.na")
        tab.get_by_test_id("password").fill("a first password")
        tab.get_by_test_id("sign-in").click()
        for field in ("new-password", "again"):
            tab.get_by_test_id(field).fill(PASSWORD)
        tab.get_by_test_id("go-on").click()
        tab.get_by_test_id("search").wait_for()
        expect(tab.locator(".who")).to_have_text("李娜")
        assert tab.get_by_test_id("to-admin").count() == 0
        tab.goto(f"{server.url}/admin")
        expect(tab.get_by_role("alert").first).to_be_visible(timeout=SECONDS * 1000)
        assert tab.get_by_test_id("add-user").count() == 0
    found = user_of(server, "li.na")
    assert (found["facility"], found["department"], found["must_change"]) == ("NORTH", "ER", False)
    assert found["last_sign_in"]


def test_an_account_is_unlocked_signed_out_and_disabled(server: Server) -> None:
    staff(server, "wang.wei", "SOUTH", "clinician")
    signed_in(server, "wang.wei")
    with browser.page() as tab:
        opened(tab, server)
        for _ in range(FAILURES):
            assert token(server, username="wang.wei", password="wrong").status_code == 401
        assert token(server, username="wang.wei", password=PASSWORD).status_code == 429
        tab.get_by_test_id("of-facility").select_option("SOUTH")
        tab.get_by_test_id("user-search").fill("WANG")
        expect(tab.get_by_test_id("user-row")).to_have_count(1)
        expect(row(tab, "user", "wang.wei")).to_contain_text("Locked until")
        browser.screenshot(tab, "admin-users-locked")
        row(tab, "user", "wang.wei").get_by_test_id("edit-user").click()
        browser.screenshot(tab, "admin-user")
        tab.get_by_test_id("unlock").click()
        expect(tab.get_by_test_id("unlock")).to_have_count(0)
        signed_in(server, "wang.wei")
        tab.get_by_test_id("end-sessions").click()
        tab.get_by_test_id("end-sessions-yes").click()
        expect(tab.get_by_text("Not signed in anywhere")).to_be_visible()
        access = signed_in(server, "wang.wei", scope="offline_access")
        tab.get_by_test_id("disable").click()
        browser.screenshot(tab, "admin-user-sure")
        tab.get_by_test_id("disable-yes").click()
        expect(tab.get_by_test_id("enable")).to_be_visible()
        assert token(server, username="wang.wei", password=PASSWORD).status_code == 401
        tab.get_by_test_id("enable").click()
        expect(tab.get_by_test_id("disable")).to_be_visible()
        old = token(server, grant_type="refresh_token", refresh_token=access["refresh_token"])
        assert old.status_code == 401, "what was signed in before stays out"
        tab.get_by_test_id("give-password").click()
        tab.get_by_test_id("give-password-yes").click()
        given = tab.get_by_test_id("handed-password").inner_text()
        assert re.fullmatch(r"([a-z2-9]{4}-){3}[a-z2-9]{4}", given)
        assert signed_in(server, "wang.wei", given)["must"] == "password"


def test_a_device_is_registered_asked_and_removed(server: Server) -> None:
    node = {
        "name": "itself",
        "facility": "NORTH",
        "ae_title": "TONGYING",
        "host": "127.0.0.1",
        "port": server.dicom_port,
    }
    server.client.post("/api/remotes", json=node).raise_for_status()
    with browser.page() as tab:
        opened(tab, server, "devices", "admin-north")
        expect(tab.get_by_text("No device is registered here")).to_be_visible()
        tab.get_by_test_id("add-device").click()
        tab.get_by_test_id("device-title").fill("TONGYING")
        tab.get_by_test_id("device-address").fill("10.1.2.300")
        tab.get_by_test_id("save-device").click()
        expect(tab.get_by_test_id("refused")).to_contain_text("neither an IP address")
        tab.get_by_test_id("device-address").fill("127.0.0.1")
        tab.get_by_test_id("device-description").fill("CT at the emergency room")
        tab.get_by_test_id("device-may-worklist").uncheck()
        tab.get_by_test_id("device-emergency").check()
        browser.screenshot(tab, "admin-device")
        tab.get_by_test_id("save-device").click()
        device = row(tab, "device", "TONGYING")
        expect(device).to_contain_text("send images · search · fetch images")
        device.get_by_test_id("echo").click()
        expect(device.get_by_test_id("echoed")).to_contain_text(
            re.compile(r"Answered in \d+ ms"), timeout=SECONDS * 1000
        )
        browser.screenshot(tab, "admin-devices")
        device.get_by_test_id("edit-device").click()
        tab.get_by_test_id("device-description").fill("CT 1")
        tab.get_by_test_id("save-device").click()
        expect(device).to_contain_text("CT 1")
        device.get_by_test_id("remove-device").click()
        device.get_by_test_id("remove-device-yes").click()
        expect(device).to_have_count(0)


def test_who_administers_one_facility_sees_that_one(server: Server) -> None:
    with browser.page(language="zh-CN", width=390, height=844, touch=True) as tab:
        opened(tab, server, "users", "admin-south")
        names = tab.get_by_test_id("user-row")
        expect(names.first).to_be_visible()
        shown = {one.get_attribute("data-name") for one in names.all()}
        assert {"admin-south", "dr-south"} <= shown
        assert not shown & {"admin", "admin-north", "li.na"}
        assert tab.get_by_test_id("of-facility").count() == 0
        fits(tab)
        browser.screenshot(tab, "admin-phone-users")
        row(tab, "user", "admin-south").get_by_test_id("edit-user").click()
        expect(tab.get_by_test_id("user-role")).to_be_disabled()
        assert tab.get_by_test_id("disable").count() == 0
        browser.screenshot(tab, "admin-phone-own")
        tab.keyboard.press("Escape")
        tab.get_by_test_id("tab-facilities").click()
        expect(tab.get_by_test_id("facility-row")).to_have_count(1)
        assert tab.get_by_test_id("add-facility").count() == 0
        browser.screenshot(tab, "admin-phone-facility")
        row(tab, "facility", "SOUTH").get_by_test_id("facility-sharing").click()
        expect(tab.get_by_test_id("scope-none")).to_be_checked()
        browser.screenshot(tab, "admin-phone-policy")


def test_it_fits_where_there_is_less_room(server: Server) -> None:
    """The way to it too, in the longer language, for who sees all ways."""
    with browser.page(width=800, height=700) as tab:
        opened(tab, server, "facilities")
        expect(row(tab, "facility", "NORTH")).to_be_visible()
        fits(tab)
        browser.screenshot(tab, "admin-tablet")
        tab.set_viewport_size({"width": 390, "height": 844})
        fits(tab)
        tab.goto(server.url)
        tab.get_by_test_id("to-admin").wait_for()
        fits(tab)
        browser.screenshot(tab, "admin-phone-way")
        tab.set_viewport_size({"width": 1321, "height": 700})
        fits(tab)
        browser.screenshot(tab, "admin-way")
