"""The page in a real browser, from disk, with no network: every plot drawn, nothing complained of, wide, narrow and on paper."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest

from adiabat.report import write
from report.water import sections, write_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0",
    "--allow-file-access-from-files",
)  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser here; on Debian: apt-get install chromium"),
]

# Put into a copy of the page: waits until all is drawn, then tells the frame around it what can be seen.
PROBE = """<script>
const look = () => {
  const root = document.documentElement, plots = [...document.querySelectorAll(".plot")];
  const waits = document.querySelector(".stage") && !("viewers" in root.dataset);
  if (root.dataset.drawn !== String(plots.length) || waits) return setTimeout(look, 50);
  const link = document.querySelector("nav a"), summary = document.querySelector("nav summary");
  (innerWidth < 961 ? summary : link).focus();
  parent.postMessage({
    viewers: root.dataset.viewers, stages: document.querySelectorAll(".stage").length,
    lit: [...document.querySelectorAll(".screen-3d canvas")].map((c) => {
      const flat = document.createElement("canvas"); flat.width = c.width; flat.height = c.height;
      const pen = flat.getContext("2d"); pen.drawImage(c, 0, 0);
      return pen.getImageData(0, 0, c.width, c.height).data.filter((x, k) => k % 4 === 3 && x > 0).length / (c.width * c.height);
    }),
    stills: [...document.querySelectorAll(".still")].filter((s) => s.checkVisibility()).length,
    plots: plots.length, drawn: plots.filter((p) => p.querySelector(".cartesianlayer .trace")).length,
    empty: plots.filter((p) => p.querySelectorAll(".point, .js-line, .fills path").length === 0).map((p) => p.id),
    overflow: root.scrollWidth - root.clientWidth, images: document.querySelectorAll("img").length,
    focused: document.activeElement.tagName, fetched: performance.getEntriesByType("resource").map((e) => e.name),
    outside: plots.filter((p) => p.querySelector("svg").getBoundingClientRect().right > root.clientWidth + 1).map((p) => p.id),
    broken: [...document.querySelectorAll(".record td, .tile b, .tile .error, .tile .unit")].filter((e) => {
      const text = document.createRange(); text.selectNodeContents(e);
      return e.textContent.length <= 14 && new Set([...text.getClientRects()].map((r) => Math.round(r.top))).size > 1;
    }).map((e) => e.textContent),
    background: getComputedStyle(document.body).backgroundColor,
    ink: plots.length ? getComputedStyle(document.querySelector(".plot .xtick text")).fill : "",
  }, "*");
};
look();
</script></body>"""


def chromium(folder, *arguments: str) -> subprocess.CompletedProcess:
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)


def look(folder, page, width: int, *flags: str) -> tuple[dict, list[str]]:
    """What the probe saw in a frame of this width, and what the console said."""
    copy, frame = folder / f"probe-{width}.html", folder / f"frame-{width}.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    frame.write_text(
        f'<iframe width="{width}" height="1200" src="{copy.name}"></iframe><pre id="seen"></pre>'
        "<script>addEventListener('message', (m) => { seen.textContent = JSON.stringify(m.data) })</script>"
    )
    done = chromium(folder, *flags, "--window-size=1400,1300", "--virtual-time-budget=60000", "--dump-dom", frame.as_uri())
    seen = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert seen, done.stderr[-2000:]
    assert seen[1], f"the plots were not all drawn in time\n{done.stderr[-2000:]}"
    return json.loads(html.unescape(seen[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_plot_is_drawn_without_complaint(tmp_path, width):
    seen, console = look(tmp_path, write(write_run(tmp_path / "run")), width)
    assert console == []
    assert seen["plots"] == seen["drawn"] == 19
    assert seen["empty"] == seen["outside"] == seen["fetched"] == []
    assert seen["broken"] == [], "a short value stays on its line"
    assert seen["viewers"] == "2" == str(seen["stages"])
    assert all(0.01 < share < 0.9 for share in seen["lit"]), "something is drawn in each, and not everywhere"
    assert seen["stills"] == 0
    assert seen["overflow"] <= 0
    assert seen["focused"] == ("A" if width > 960 else "SUMMARY")


def test_it_is_dark_where_the_reader_likes_it_dark(tmp_path):
    page = write(write_run(tmp_path / "run", only=["learning_curve"]))
    light, _ = look(tmp_path, page, 1280)
    dark, console = look(tmp_path, page, 1280, "--blink-settings=preferredColorScheme=0")
    assert console == []
    assert (light["background"], light["ink"]) == ("rgb(247, 247, 245)", "rgb(27, 36, 48)")
    assert (dark["background"], dark["ink"]) == ("rgb(16, 20, 26)", "rgb(229, 233, 238)")


def test_without_webgl_the_still_pictures_stay(tmp_path):
    seen, console = look(tmp_path, write(write_run(tmp_path / "run", only=["structures"])), 390, "--disable-3d-apis")
    assert console == []
    assert (seen["viewers"], seen["stills"], seen["lit"]) == ("0", 2, [])


def test_words_with_markup_do_no_harm(tmp_path):
    hostile = "<img src=x onerror=console.error(1)> & <b>bold</b>"
    budget = sections()["time_budget"]
    budget["stages"][0]["name"] = hostile
    curves = sections()["training"]
    curves["curves"][0]["name"] = hostile
    seen, console = look(
        tmp_path,
        write(write_run(tmp_path / "run", only=["time_budget", "training"], time_budget=budget, training=curves)),
        1280,
    )
    assert console == []
    assert seen["images"] == 0


def test_a_page_without_plots_is_quiet_too(tmp_path):
    page = write(write_run(tmp_path / "run", only=["versions"]))
    assert len(page.read_bytes()) < 100_000
    done = chromium(tmp_path, "--virtual-time-budget=2000", "--dump-dom", page.as_uri())
    assert 'data-drawn="0"' in done.stdout
    assert "CONSOLE" not in done.stderr


def test_it_prints(tmp_path):
    page, pdf = write(write_run(tmp_path / "run")), tmp_path / "report.pdf"
    done = chromium(tmp_path, "--virtual-time-budget=60000", f"--print-to-pdf={pdf}", "--no-pdf-header-footer", page.as_uri())
    assert "CONSOLE" not in done.stderr
    sheets = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    assert 8 <= sheets <= 20
