"""The first image in the page: a headless Chromium opens a study, and the page says when it was drawn."""

from __future__ import annotations

import shutil

from playwright.sync_api import Browser, Error, sync_playwright

from bench.corpus import make_study
from bench.measure import Figure, Group, Row, until
from bench.peers import TONGYING, Tongying
from bench.run import Run
from bench.senders import send
from bench.web import Client
from tests.support.server import ROOT

FLAGS = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
Times = tuple[float, float]
TITLE = "First image in the page"
SHOWN = """() => {
  const ms = window.__tongying?.state()?.firstImageMs
  return ms == null ? null : [ms, performance.now()]
}"""
SHOWN_MS_MAX = 60_000
REMARKS = (
    "Headless Chromium with software GL on the same two cores, over loopback; the study is a CT series, opened by its "
    "address when signed in. Since the address: from the navigation until the first image is drawn, the scripts' start "
    "and the manifest included. Since the series is opened: as the viewer itself reports it (firstImageMs).",
    "Cold: a new browser profile that has done no more than sign in. Warm: the same study opened again at once in "
    "that profile, while the machine still drops what the first opening was loading. No peer stands beside it: "
    "Orthanc as Debian ships it has no viewer.",
)


def measure(run: Run) -> Group:
    """Cold and warm openings; skipped, with the reason, where it cannot be."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    ours = run.peers.get(TONGYING)
    if not (ROOT / "web_viewer" / "dist" / "index.html").exists():
        return _skipped(run, "the web page is not built (make web)")
    if chromium is None or not isinstance(ours, Tongying):
        return _skipped(run, "there is no Chromium here")
    study = make_study(run.folder / "page", run.sizes.slices, run.sizes.side, "PAGE")
    send(ours, [[study.folder]])
    with Client(ours.web) as client:
        until(
            lambda: client.instances_of(study.study_uid) == len(study.images),
            poll_seconds=0.1, seconds_max=60, what="the study is listed",
        )  # fmt: skip
    cold, warm = [], []  # of pairs: since the series was opened, since the navigation
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            for _ in range(run.sizes.page_rounds):
                first, second = _open_twice(browser, ours, study.study_uid)
                cold.append(first)
                warm.append(second)
        except Error as error:
            return _skipped(run, f"the page did not show an image: {error.message.splitlines()[0]}")
        finally:
            browser.close()
    rows = tuple(
        Row(
            f"{what}: first image since {since}",
            "ms",
            {TONGYING: Figure(tuple(pair[which] for pair in pairs))},
        )
        for what, pairs in (("cold", cold), ("warm", warm))
        for which, since in ((1, "the address"), (0, "the series is opened"))
    )
    for row in rows:
        run.say(f"  {row.what}: {row.shown(TONGYING):.0f} ms")
    return Group("page", TITLE, rows, REMARKS)


def _skipped(run: Run, reason: str) -> Group:
    run.say(f"  skipped: {reason}")
    return Group("page", TITLE, skipped=reason)


def _open_twice(browser: Browser, ours: Tongying, study_uid: str) -> tuple[Times, Times]:
    """Sign in by the form, then open the study by its address, twice."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        page = context.new_page()
        page.goto(ours.server.url)
        name, password = ours.sign_in()
        page.locator("input").nth(0).fill(name)
        page.locator("input[type=password]").fill(password)
        page.locator("button[type=submit]").click()
        page.wait_for_function("() => Object.keys(sessionStorage).length > 0", timeout=SHOWN_MS_MAX)
        times: list[Times] = []
        for _ in range(2):
            page.goto(f"{ours.server.url}/study/{study_uid}")
            shown = page.wait_for_function(SHOWN, timeout=SHOWN_MS_MAX)
            times.append(tuple(shown.json_value()))
        return times[0], times[1]
    finally:
        context.close()
