"""The page: whatever a run folder holds, a whole, safe and quiet document comes out."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

from adiabat.cli import app
from adiabat.report import SECTIONS, Sections, methods, write
from adiabat.report.chapters import CHAPTERS, TITLES
from adiabat.report.citations import WORKS
from report.water import SUMMARY, sections, write_run

EMPTY = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "track",
    "wbr",
    "path",
    "circle",
    "rect",
}
HOSTILE = """<script>alert("&1")</script><img src=x onerror='alert(2)'>"""


class Page(HTMLParser):
    """A strict reader: every element is closed where it should be; ids, attributes and words are kept."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.words = [], [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page(folder) -> Page:
    return Page(write(folder).read_text(encoding="utf-8"))


def test_a_full_run_shows_every_section(tmp_path):
    p = page(write_run(tmp_path / "run"))
    assert {name for names in CHAPTERS.values() for name in names} <= set(p.ids)
    assert "All 6 targets met." in p.text
    assert "Not shown" not in p.text
    assert "PBE/def2-SVP · 72 labels · 5 rounds · 4 min 21 s" in p.text


def test_every_section_has_a_form_a_title_and_a_place():
    assert set(TITLES) == {name for names in CHAPTERS.values() for name in names} == set(SECTIONS) - {"verdicts"} == set(sections()) - {
        "verdicts"} | {"methods"}  # fmt: skip


@pytest.mark.parametrize("name", sections())
def test_a_section_renders_alone(tmp_path, name):
    p = page(write_run(tmp_path / "run", only=[name]))
    others = set(TITLES) - {name, "methods"}
    assert not others & set(p.ids)
    assert (name if name != "verdicts" else "result") in p.ids
    assert "Not shown" not in p.text


def test_an_empty_folder_and_a_started_run_still_make_a_page(tmp_path):
    assert "has not finished" in page(tmp_path).text
    run = write_run(tmp_path / "run", only=["settings", "learning_curve"], finished=False)
    text = page(run).text
    assert "has not finished" in text
    assert "Last event: explore: 300 K: 41 frames above the threshold." in text


def test_a_summary_alone_fills_the_tiles(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY | {"nve_drift_meV_per_atom_per_ns": float("nan")}))
    text = page(tmp_path).text
    assert "Energy error 0.14 meV/atom" in text
    assert "Energy drift" not in text
    assert "nan" not in text.lower().split()


def test_missed_targets_are_named(tmp_path):
    missed = {
        "verdicts": [
            {"name": "Force error", "value": 12.0, "unit": "meV/Å", "target": 10.0},
            {"name": "Labels", "value": 3, "target": 80},
        ]
    }
    text = page(write_run(tmp_path / "run", only=["verdicts"], verdicts=missed)).text
    assert "1 of 2 targets missed: Force error." in text
    assert "✗ fail" in text


@pytest.mark.parametrize(("value", "target", "better", "passed"), [
    (0.1, 0.2, "below", True), (-0.3, 0.2, "below", False), (44, 20, "above", True), (2, 20, "above", False), (None, 1, "below", None),
])  # fmt: skip
def test_a_verdict_follows_from_value_and_target(value, target, better, passed):
    [verdict] = (
        SECTIONS["verdicts"]
        .model_validate({"verdicts": [{"name": "x", "value": value, "target": target, "better": better}]})
        .verdicts
    )
    assert verdict.verdict() is passed


def test_an_error_bar_counts_against_the_target():
    def passes(**fields):
        return (
            SECTIONS["verdicts"]
            .model_validate({"verdicts": [{"name": "drift", "target": 1.0, **fields}]})
            .verdicts[0]
            .verdict()
        )

    assert passes(value=-0.5, error=0.2)
    assert not passes(value=-0.5, error=0.3)
    assert not passes(value=1.5, error=0.3, better="above")


def test_a_failed_gate_stands_in_the_first_line(tmp_path):
    gate = {"checks": {"smooth_cutoff": {"value": 1.0, "unit": "eV/Å", "target": 1e-3, "verdict": "fail"},
                       "nve_drift": {"value": 0.5, "error": 2.0, "unit": "meV/atom/ns", "target": 1.0, "verdict": "undetermined"}}}  # fmt: skip
    data = {"findings": [{"name": "units", "grade": "fault", "message": "energies in hartree"}]}
    text = page(write_run(tmp_path / "run", model_gate=gate, data_gate=data)).text
    assert (
        "The model gate failed: smooth cutoff. The model gate could not tell: nve drift. The data gate found faults: units."
        in text
    )
    assert "2 laws that a potential must obey were tried: 1 failed, 1 undetermined." in text
    assert "All 6 targets met" not in text


def test_the_methods_text_says_what_the_run_recorded_and_cites_it(tmp_path):
    said = methods.text(write_run(tmp_path / "run"))
    for words in ("at PBE/def2-SVP with PySCF 2.11.0", "growing from 24 to 72 labels", "5.2 meV/Å", "@article{pyscf,"):
        assert words in said
    assert methods.text(write_run(tmp_path / "bare", only=["learning_curve"])).startswith(
        "It was trained on sets growing from 24 to 72 labels."
    )


def test_the_methods_text_is_printed_by_the_command_line(tmp_path):
    run = write_run(tmp_path / "run")
    told = CliRunner().invoke(app, ["report", str(run), "--methods"])
    assert told.exit_code == 0
    assert told.stdout == methods.text(run)


def test_what_people_write_is_shown_and_never_run(tmp_path):
    def spoil(value):
        if isinstance(value, dict):
            return {HOSTILE if key in ("md 300 K", "rotation") else key: spoil(item) for key, item in value.items()}
        if isinstance(value, list):
            return [spoil(item) for item in value]
        fixed = ("below", "above", "fault", "warning", "note", "pass", "fail", "waived", "not run")
        return HOSTILE if isinstance(value, str) and value not in fixed else value

    run = write_run(tmp_path / "run")
    content = json.loads((run / "report.json").read_text())
    content["sections"] = spoil(content["sections"])
    (run / "report.json").write_text(json.dumps(content))
    (run / "config.yaml").write_text(f"name: {HOSTILE}\n")
    (run / "events.jsonl").write_text(
        json.dumps({"time": HOSTILE, "stage": HOSTILE, "message": HOSTILE, "more": HOSTILE}) + "\n"
    )
    html = write(run).read_text(encoding="utf-8")
    p = Page(html)
    assert HOSTILE in p.text
    assert not [tag for tag, _ in p.tags if tag == "img"]
    assert sum(tag == "script" for tag, _ in p.tags) == 4
    assert "<script>alert" not in html
    assert html.count("</script>") == 4


def test_the_page_loads_nothing(tmp_path):
    p = page(write_run(tmp_path / "run"))
    assert not [a for tag, a in p.tags if "src" in a or "srcset" in a or tag in ("link", "iframe", "object", "embed", "img")]
    css = (tmp_path / "run" / "report.html").read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    assert "url(" not in css
    assert "@import" not in css
    [policy] = [a["content"] for tag, a in p.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert all(link.startswith(("#", "https://doi.org/")) for link in p.links)


def test_contents_lead_to_what_is_there(tmp_path):
    p = page(write_run(tmp_path / "run"))
    assert {link[1:] for link in p.links if link.startswith("#")} <= set(p.ids)
    assert len(p.ids) == len(set(p.ids))


def test_every_figure_has_words_and_every_plot_its_data(tmp_path):
    html = write(write_run(tmp_path / "run")).read_text(encoding="utf-8")
    plots = [a for tag, a in Page(html).tags if "data-figure" in a]
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', html, re.DOTALL)[1])
    assert [a["data-figure"] for a in plots] == list(figures)
    assert all(len(a["aria-label"]) > 40 and a["role"] == "img" for a in plots)
    assert "NaN" not in json.dumps(figures)


@pytest.mark.parametrize("broken", [
    '{"sections": {"nve": ', "[]", '{"format": 1, "sections": {"nve": {"time_ps": "soon"}}}', '{"sections": {"weather": {}}}', '{"format": 99}',
])  # fmt: skip
def test_a_damaged_report_is_named_and_the_rest_is_shown(tmp_path, broken):
    run = write_run(tmp_path / "run", only=[])
    (run / "report.json").write_text(broken)
    text = page(run).text
    assert "Energy error 0.14 meV/atom" in text
    assert broken == "[]" or "Not shown" in text


def test_a_line_cut_off_by_a_crash_is_no_problem(tmp_path):
    run = write_run(tmp_path / "run", finished=False)
    with open(run / "events.jsonl", "a") as events:
        events.write('{"time": 1770000900, "stage": "expl')
    text = page(run).text
    assert "41 frames above the threshold" in text
    assert "Not shown" not in text


def test_holes_in_the_data_are_left_out(tmp_path):
    def holes(value):
        if isinstance(value, list) and value and all(v is None or isinstance(v, (int, float)) for v in value):
            return [None if k % 3 == 1 and not isinstance(v, int) else v for k, v in enumerate(value)]
        if isinstance(value, list):
            return [holes(v) for v in value]
        if isinstance(value, dict):
            return {k: holes(v) for k, v in value.items()}
        return None if isinstance(value, float) else value

    run = write_run(tmp_path / "run")
    content = json.loads((run / "report.json").read_text())
    for name, section in content["sections"].items():
        Sections(run).put(name, holes(section))
    text = page(run).text
    assert "Not shown" not in text, text[text.index("Not shown") :][:500]
    assert "None" not in text


def test_a_run_that_does_not_exist_is_an_error_that_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist; give the folder"):
        write(tmp_path / "nowhere")


def test_writing_again_replaces_the_page_whole(tmp_path):
    run = write_run(tmp_path / "run", only=["settings"])
    write(run)
    Sections(run).put("vibrations", sections()["vibrations"])
    assert "vibrations" in page(run).ids
    assert not list(run.glob(".report*"))


@pytest.mark.parametrize("key", WORKS)
def test_a_citation_is_complete(key):
    work = WORKS[key]
    assert re.fullmatch(r"@\w+\{[\w-]+,\n(  \w+ = \{.+\},?\n)+\}", work.bibtex)
    assert work.bibtex.count("{") == work.bibtex.count("}")
    assert "  and" not in work.text
    assert re.search(r"\((19|20)\d\d\)\.$", work.text)
