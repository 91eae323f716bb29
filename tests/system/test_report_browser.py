"""The report in a real browser: it loads without a complaint, every chart is seen, on a projector, a phone, and paper.

A copy of the page gets a script that measures it, inside frames of several widths, and tells the page around them,
whose content chromium prints. The page itself has no script, so whatever is on the console is a complaint.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
from html import unescape
from types import SimpleNamespace

import pytest
from extras import browser
from runs import fail, write_run

from experiments.cli.main import run as syncbench

pytestmark = [pytest.mark.system, pytest.mark.timeout(120), pytest.mark.extras("browser")]

WIDTHS = (1280, 390)  # a projector, a phone

PROBE = """<script>
addEventListener("load", () => parent.postMessage(JSON.stringify({
  width: innerWidth,
  scrolls: document.documentElement.scrollWidth,
  sticksOut: [...document.querySelectorAll("body *")].filter(each => !each.closest(".scroll")
    && each.getBoundingClientRect().right > innerWidth + 0.5).map(each => each.tagName + "." + each.className),
  small: [...document.querySelectorAll("h1, h2, h3, p, li, td, th, dd, dt, pre")]
    .filter(each => each.textContent.trim() && parseFloat(getComputedStyle(each).fontSize) < 11).length,
  charts: [...document.querySelectorAll("figure")].map(figure => {
    const picture = figure.querySelector("img"), box = picture?.getBoundingClientRect();
    return {title: figure.querySelector("h3").textContent, width: box?.width, height: box?.height,
      pixels: picture?.naturalWidth};
  }),
}), "*"))
</script></body>"""
AROUND = """<!DOCTYPE html><html><body>{frames}<pre id="told"></pre><script>
addEventListener("message", message => told.append(message.data + "\\n"));
</script></body></html>"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """Run chromium with these words; returns what it printed. It has a profile of its own, and a minute."""
    profile = tmp_path_factory.mktemp("chromium")

    def run(*words):
        own = {"HOME": str(profile), "TMPDIR": str(profile), "XDG_RUNTIME_DIR": str(profile)}
        always = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}/profile"]
        more = ["--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000"]
        process = subprocess.Popen(
            [browser(), *always, *more, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **own, "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )
        try:
            out, err = process.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.returncode == 0, err
        console = [line for line in err.splitlines() if "CONSOLE" in line or "Uncaught" in line]
        return SimpleNamespace(out=out, console=console)

    return run


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report on a comparison in which everything that a report can have is there."""
    folder = tmp_path_factory.mktemp("runs")
    for repeat in range(3):
        for strategy, train in (("single", 0.001), ("noop", 0.0015), ("ring", 0.002), ("ps-bsp", 0.004)):
            seconds = {"train": train * (1 + repeat / 50)}
            write_run(folder, strategy, seconds=seconds, name=f"2025010{repeat + 1}T030405Z-{strategy}-w4-abcd")
    write_run(folder, "star", ledger_sha256="ef56", seed=1)
    write_run(folder, "tree", name="a-folder-with-a-very-long-name-" + 8 * "without-a-single-space-", **fail())
    assert syncbench(["report", str(folder)]) == 0
    return folder / "report.html"


def measured(chromium, page, folder):
    """What the probe in a copy of `page` says, by the width of the window."""
    text = page.read_text()
    (folder / "probed.html").write_text(text.replace("</body>", PROBE))
    frames = "".join(
        f'<iframe src="probed.html" width="{width}" height="900" style="border:0"></iframe>' for width in WIDTHS
    )
    (folder / "around.html").write_text(AROUND.format(frames=frames))
    seen = chromium("--dump-dom", (folder / "around.html").as_uri())
    told = re.search(r'<pre id="told">(.*?)</pre>', seen.out, re.DOTALL)[1]
    said = [json.loads(unescape(line)) for line in told.splitlines()]
    return {each["width"]: each for each in said}, seen.console


def test_every_chart_is_seen_and_nothing_sticks_out(chromium, page, tmp_path):
    found, console = measured(chromium, page, tmp_path)
    assert console == []
    assert set(found) == set(WIDTHS)
    for width, there in found.items():
        assert there["scrolls"] <= width
        assert there["sticksOut"] == []
        assert there["small"] == 0
        assert len(there["charts"]) == page.read_text().count("<figure") > 3
        for chart in there["charts"]:
            assert chart["title"]
            assert 0.9 * width < chart["width"] or chart["width"] > 800, chart  # all the room that there is
            assert chart["height"] > 0.25 * chart["width"], chart
            assert chart["pixels"] > 1000, chart


def test_planted_defects_are_found(chromium, page, tmp_path):
    text = page.read_text()
    for wrong in (
        '<p style="width: 2000px; max-width: none">wide</p>',
        '<figure><h3>gone</h3><img style="display: none"></figure>',
        "<script>console.error('a complaint')</script>",
        '<img src="not-there.png" alt="">',
    ):
        text = text.replace("</main>", f"{wrong}</main>")
    (tmp_path / "bad.html").write_text(text)
    found, console = measured(chromium, tmp_path / "bad.html", tmp_path)
    there = found[WIDTHS[0]]
    assert there["scrolls"] >= 2000
    assert any(tag.startswith("P") for tag in there["sticksOut"])
    assert there["charts"][-1]["width"] == 0
    assert any("a complaint" in line for line in console)


def test_it_is_printed(chromium, page, tmp_path):
    chromium(f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer", page.as_uri())
    printed = (tmp_path / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 1
