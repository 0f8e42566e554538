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
Times = tuple[float, float, float]
TITLE = "First image in the page"
WHAT = (
    "a picture since the address",
    "first image since the address",
    "first image since the viewer started",
)
SHOWN = """() => {
  const ms = window.__tongying?.state()?.firstImageMs
  return ms == null ? null : [ms, performance.now()]
}"""
PREVIEWED = """() => new Promise(resolve => {
  const found = list => list.getEntries().filter(entry => entry.identifier === "preview")
  new PerformanceObserver(list => found(list).forEach(entry => resolve(entry.renderTime || entry.loadTime)))
    .observe({ type: "element", buffered: true })
  setTimeout(() => resolve(null), 500)
})"""
SHOWN_MS_MAX = 60_000
REMARKS = (
    "Headless Chromium with software GL on the same two cores, over loopback; the study is a CT series, opened by its "
    "address when signed in. Since the address: from the navigation, the scripts' start and the manifest included. A "
    "picture: the server's, of the image that the viewer will open with, marked as a preview; it stands until the "
    "viewer's own first image does (Element Timing). Since the viewer started: as it reports itself (firstImageMs).",
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
    cold, warm = [], []
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
        Row(f"{kind}: {what}", "ms", {TONGYING: Figure(tuple(times[which] for times in found))})
        for kind, found in (("cold", cold), ("warm", warm))
        for which, what in enumerate(WHAT)
    )
    for row in rows:
        run.say(f"  {row.what}: {row.shown(TONGYING):.0f} ms")
    return Group("page", TITLE, rows, REMARKS)


def _skipped(run: Run, reason: str) -> Group:
    run.say(f"  skipped: {reason}")
    return Group("page", TITLE, skipped=reason)


def _open_twice(browser: Browser, ours: Tongying, study_uid: str) -> tuple[Times, Times]:
    """Sign in by the form, then open the study by its address, twice; times in ms, as in `WHAT`."""
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
            since_viewer, since_address = page.wait_for_function(SHOWN, timeout=SHOWN_MS_MAX).json_value()
            preview = page.evaluate(PREVIEWED)
            picture = since_address if preview is None else min(preview, since_address)
            times.append((picture, since_address, since_viewer))
        return times[0], times[1]
    finally:
        context.close()
