"""The page as a person uses it: by keyboard, on a narrow screen, on paper, with no network, from disk."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from adiabat.report import write
from report.test_browser import CHROMIUM
from report.water import write_run
from report.webdriver import ENTER, HOME, RIGHT, SHIFT, TAB, Browser

DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None, reason="no driven browser; on Debian: apt-get install chromium-driver"
    ),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return write(write_run(tmp_path_factory.mktemp("report") / "run"))


def browser(folder: Path, width: int) -> Browser:
    return Browser(DRIVER, CHROMIUM, folder / "profile", width)


def inside(seen: Browser, css: str) -> bool:
    """Whether an element's top is in the window."""
    script = "const y = document.querySelector(arguments[0]).getBoundingClientRect().top; return y > -5 && y < innerHeight"
    return seen.run(script, css)


def test_the_keyboard_reaches_everything_and_shows_where_it_is(page, tmp_path):
    with browser(tmp_path, 1280) as seen:
        seen.open(page)
        seen.press(TAB)
        assert seen.focused() == "Skip to the content"
        assert seen.run(
            "const r = document.activeElement.getBoundingClientRect(); return r.left >= 0 && r.top >= 0 && r.height > 5"
        )
        order = [seen.focused()]
        for _ in range(200):
            seen.press(TAB)
            order.append(seen.focused())
            visible = (
                "const e = document.activeElement; if (e === document.body) return true; const s = getComputedStyle(e);"
                "return s.outlineStyle !== 'none' || s.boxShadow !== 'none' || s.textDecorationLine !== 'none'"
            )
            assert seen.run(visible), f"{order[-1]!r} has the focus and does not show it"
            if seen.run("return document.activeElement === document.body"):
                break
        links = seen.run("return [...document.querySelectorAll('nav a')].map(a => a.textContent.trim())")
        places = [order.index(link) for link in links]
        assert places == sorted(places), "the contents are walked in their order"
        tables = seen.run(
            "return [...document.querySelectorAll('.table')].filter(t => t.checkVisibility()).map(t => t.getAttribute('aria-label'))"
        )
        assert set(tables) <= set(order), "tables that scroll take the focus"
        assert seen.complaints() == []


def test_enter_on_the_contents_leads_there_and_shift_tab_back(page, tmp_path):
    with browser(tmp_path, 1280) as seen:
        seen.open(page)
        seen.press(TAB, TAB, TAB)
        first = seen.focused()
        seen.press(TAB)
        second = seen.focused()
        seen.press(SHIFT + TAB)
        assert seen.focused() == first != second
        seen.run("document.querySelector('nav a[href=\"#model_gate\"]').focus()")
        assert not inside(seen, "#model_gate")
        seen.press(ENTER)
        assert seen.run("return location.hash") == "#model_gate"
        assert inside(seen, "#model_gate")
        assert seen.complaints() == []


# What a viewer shows, as a picture's text: the same text is the same view.
PICTURE = "return document.querySelectorAll('.screen-3d canvas')[arguments[0]].toDataURL()"


def test_a_structure_turns_by_the_keyboard_and_comes_back(page, tmp_path):
    with browser(tmp_path, 1280) as seen:
        seen.open(page)
        before = seen.run(PICTURE, 0)
        seen.run("document.querySelector('.screen-3d').focus()")
        assert seen.focused().startswith("Relaxed structure, in three dimensions. Arrow keys turn it")
        top = seen.run("return scrollY")
        seen.press(RIGHT, RIGHT)
        turned = seen.run(PICTURE, 0)
        seen.press("+")
        assert len({before, turned, seen.run(PICTURE, 0)}) == 3
        seen.press(HOME)
        assert seen.run(PICTURE, 0) == before
        assert seen.run("return scrollY") == top, "the page stays where it is"
        assert seen.complaints() == []


def test_a_trajectory_is_stepped_through_and_played(page, tmp_path):
    frame = "return document.querySelectorAll('.screen-3d')[1].dataset.frame"
    with browser(tmp_path, 390) as seen:
        seen.open(page)
        seen.run("document.querySelector('.controls input').focus()")
        assert seen.focused() == "In a box: frame"
        first = seen.run(PICTURE, 1)
        seen.press(RIGHT)
        seen.until(f"{frame} === '1'")
        assert seen.run("return document.querySelector('.controls input').getAttribute('aria-valuetext')") == "10 fs"
        assert seen.run(PICTURE, 1) != first
        seen.press(SHIFT + TAB)
        assert seen.focused() == "Play"
        seen.press(ENTER)
        seen.until(f"{frame} === '2'")
        seen.until(f"{frame} === '0'")  # it begins again
        seen.press(ENTER)
        assert seen.focused() == "Play"
        assert seen.complaints() == []


def test_a_narrow_screen_folds_the_contents(page, tmp_path):
    with browser(tmp_path, 500) as seen:
        seen.open(page)
        assert seen.run("return innerWidth") <= 520
        shown = "return document.querySelector('nav li').checkVisibility()"
        assert not seen.run(shown)
        seen.run("document.querySelector('nav summary').focus()")
        seen.press(ENTER)
        assert seen.run(shown)
        seen.click('nav a[href="#model_gate"]')
        assert inside(seen, "#model_gate")
        assert not seen.run(shown), "the contents fold again when one of them was chosen"
        assert seen.run("return document.documentElement.scrollWidth <= innerWidth")
        wide = "return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.table, pre, .plot')).length"  # noqa: E501
        assert seen.run(wide) == 0
        assert seen.complaints() == []


def test_nothing_is_fetched_and_nothing_may_be(page, tmp_path):
    with browser(tmp_path, 1280) as seen:
        seen.open(page)
        assert seen.run("return performance.getEntriesByType('resource').map(e => e.name)") == []
        blocked = seen.ask("POST", "/execute/async", {
            "script": "const done = arguments[0]; fetch('http://localhost:9/').then(() => done('came'), () => done('refused'))", "args": [],
        })  # fmt: skip
        assert blocked == "refused"
        assert any("Content Security Policy" in said for said in seen.complaints())


def test_it_prints_every_plot_and_the_screen_is_as_before(page, tmp_path):
    with browser(tmp_path, 1280) as seen:
        seen.open(page)
        before = seen.run("return document.querySelectorAll('.plot .cartesianlayer .trace').length")
        paper = seen.pdf()
        assert paper.startswith(b"%PDF")
        assert 8 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 20
        seen.open(page)
        assert seen.run("return document.querySelectorAll('.plot .cartesianlayer .trace').length") == before > 18
        assert seen.complaints() == []
