"""The report of a run: complete, in two languages, in need of nothing, safe against its data."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
import yaml
from page_facts import EARLIER, VERSION, found, full_facts

from seqtune.reporting.page import _curve, _figures, _numbers, _page, _words, index_page, render

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&{{ 7 * 7 }}"
TEMPLATES = files("seqtune.reporting.page") / "templates"
CALL = re.compile(r"""\b(?:t|named)\(\s*"([^"]+)"\s*(~|,|\))""")


class Structure(HTMLParser):
    """The elements of a page with the names of their attributes, and the texts of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text.append(data)


def visible(page: str) -> str:
    return re.sub(r"\s+", " ", "".join(Structure(page).text))


@pytest.fixture(scope="module")
def page() -> str:
    return render(full_facts())


# ---- data cannot become markup ---------------------------------------------------------------


def test_text_from_data_never_becomes_an_element(page: str) -> None:
    harmless, attacked = Structure(page), Structure(render(full_facts(EVIL)))

    assert attacked.elements == harmless.elements
    assert EVIL in "".join(attacked.text)  # it is there, as text


def test_a_figure_cannot_end_its_script() -> None:
    structure = Structure(render(full_facts(EVIL)))
    figures = [json.loads(each) for each in structure.scripts if each.startswith('{"data"')]

    assert [figure["data"][0]["text"] for figure in figures] == [[EVIL], [EVIL]]
    assert not any("</script" in script.lower() for script in structure.scripts)


def test_text_from_data_never_becomes_an_element_of_the_index() -> None:
    def entry(text: str) -> dict[str, Any]:
        keys = ("task", "env", "metric", "started", "version", "status", "link")
        return {**dict.fromkeys(keys, text), "pipelines": [text], "parts": {"test": {"model": 1}}}

    harmless, attacked = (Structure(index_page([entry(text)])) for text in ("plain", EVIL))

    assert attacked.elements == harmless.elements


def test_only_our_own_scripts_may_run(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)

    assert policy is not None
    scripts = unescape(policy[1]).split("script-src ")[1].split(";")[0]
    assert "unsafe-inline" not in scripts
    assert "default-src 'none'" in unescape(policy[1])
    ours = next(each for each in Structure(page).scripts if each.startswith('"use strict"'))
    assert _figures.script_hash(ours.encode()) in scripts


# ---- it needs nothing but itself -------------------------------------------------------------


def test_nothing_is_asked_of_the_network(page: str) -> None:
    links = [*Structure(page).links, *Structure(index_page([{"link": "a/b.html"}])).links]

    assert [link for link in links if not link.startswith("#")] == ["a/b.html"]
    assert "url(" not in page
    assert "@import" not in page


def test_plotly_is_in_the_page_once_and_only_where_there_are_figures(page: str) -> None:
    without = render({**full_facts(), "figures": {}})

    assert page.count('id="plotly"') == 1
    assert 'id="plotly"' not in without
    assert len(without) < 200_000 < len(page)


def test_every_file_of_the_page_is_package_data(repository: Any) -> None:
    patterns = re.search(
        r'"seqtune.reporting.page" = \[([^\]]+)\]', (repository / "pyproject.toml").read_text()
    )
    folder = repository / "src/seqtune/reporting/page"

    assert patterns is not None
    packed = {path for each in re.findall(r'"([^"]+)"', patterns[1]) for path in folder.glob(each)}
    needed = {path for path in folder.rglob("*") if path.suffix in (".html", ".css", ".js", ".yml")}
    assert packed == needed


# ---- two languages ---------------------------------------------------------------------------


def test_every_text_is_there_in_both_languages() -> None:
    for key, spoken in _words.texts().items():
        assert spoken.keys() - {_words.ONE} == set(_words.LANGUAGES), key
        assert all(spoken.values()), key
        names = [set(re.findall(r"\{(\w*)\}", text)) for text in spoken.values()]
        assert all(each == names[0] for each in names), key
        assert _words.ONE not in spoken or "num" in names[0], key


@pytest.mark.parametrize("num", [1, "1", 2])
def test_one_is_no_plural(num: int | str) -> None:
    said = _words.say("data.files", num=num)

    assert f"{num} {'files' if num == 2 else 'file'}<" in said
    assert f"파일 {num}개" in said


def test_korean_texts_are_korean() -> None:
    same = {key for key, spoken in _words.texts().items() if not re.search("[가-힣]", spoken["ko"])}

    assert same == {"answer.floor", "answer.and", "answer.on"}


def test_no_text_is_unused_and_none_is_missing() -> None:
    source = "".join(path.read_text() for path in _templates())
    source += "".join(
        path.read_text()
        for path in files("seqtune.reporting.page").iterdir()
        if path.suffix == ".py"
    )
    exact = {key for key, end in CALL.findall(source) if end != "~" and "." in key}
    prefixes = {key for key, end in CALL.findall(source) if end == "~"}
    prefixes |= {f"{key}." for key, end in CALL.findall(source) if end == ","} | {
        "sign.",
        "trust.",
        "duration.",
    }
    texts = _words.texts()

    assert [key for key in exact if key not in texts] == []
    quoted = set(re.findall(r'"([a-z_.]+)"', source))
    unused = [
        key for key in texts if key not in quoted and not key.startswith(tuple(prefixes - {"."}))
    ]
    assert unused == []


def test_every_section_has_a_name_and_a_template() -> None:
    for name in _page.SECTIONS:
        assert f"section.{name}" in _words.texts()
        assert (TEMPLATES / "sections" / f"{name}.html").is_file()


def _templates() -> list[Any]:
    return [
        path
        for folder in (TEMPLATES, TEMPLATES / "sections")
        for path in folder.iterdir()
        if path.is_file()
    ]


# ---- what is shown ---------------------------------------------------------------------------


def test_numbers_are_written_for_people(page: str) -> None:
    text = visible(page)

    assert "0.2974" in text
    assert "0.29741" not in text
    assert "87,837 rows were read and 87,731 kept" in text


@pytest.mark.parametrize("name", [name for name, wanted in _page.SECTIONS.items() if wanted])
def test_a_section_without_its_documents_is_left_out(page: str, name: str) -> None:
    facts = full_facts()
    for document in _page.SECTIONS[name]:
        facts["documents"].pop(document, None)

    assert f'<section id="{name}"' in page
    assert f'<section id="{name}"' not in render(facts)


def test_a_stage_that_was_switched_off_is_no_section_but_is_named() -> None:
    facts = full_facts()
    facts["documents"]["tune_seed_report"]["value"] = {"enabled": False, "headline": ["off"]}

    drawn = render(facts)
    assert '<section id="seed"' not in drawn
    assert "Disabled:" in visible(drawn)


def test_a_run_of_which_nothing_is_known_has_a_page() -> None:
    for facts in ({}, {"documents": {}, "answer": {}}, {"task": "x", "version": "by hand"}):
        assert "Run report" in render(facts)


@pytest.mark.parametrize("name", list(full_facts()["documents"]))
def test_an_empty_report_is_no_error(name: str) -> None:
    facts = full_facts()
    facts["documents"][name]["value"] = {}

    assert "Run report" in render(facts)


def test_what_an_earlier_run_made_is_labelled() -> None:
    facts = {"version": VERSION, "documents": {"predict_report": found({"rows": 3}, here=False)}}

    text = visible(render(facts))
    assert f"From an earlier run, 2026-11-20 08:00 UTC (version {EARLIER})" in text
    facts["documents"]["predict_report"]["here"] = True
    assert "From an earlier run" not in visible(render(facts))


def test_configurations_come_back_from_their_yaml() -> None:
    values = {
        "model": {"hidden_units": 32, "name": "no: <yes> & 'on'"},
        "training": {"lr": 0.0030517},
    }
    facts = {"task": "recommend", "documents": {"best_config": found({"values": values})}}

    code = re.search(r"<pre[^>]*><code>(recommend:.*?)</code>", render(facts), re.DOTALL)
    assert code is not None
    assert yaml.safe_load("".join(Structure(code[1]).text)) == {"recommend": values}


def test_runs_are_listed_newest_first() -> None:
    entries = [
        {"started": f"2026-11-2{day}", "version": f"2026-11-2{day}T08.00.00.000Z", "link": f"{day}"}
        for day in (1, 3, 2)
    ]

    assert Structure(index_page(entries)).links == ["3", "2", "1"]
    assert "No run has written a report yet" in visible(index_page([]))


# ---- its parts -------------------------------------------------------------------------------


def test_words_of_a_figure_stand_above_it_and_not_in_it() -> None:
    drawn = _figures.figures(full_facts()["figures"])

    assert [one.name for one in drawn] == ["quick_history", "something_else"]
    assert drawn[0].said == "plain"
    assert "title" not in json.loads(drawn[0].json)["layout"]
    assert drawn[0].height < 440


def test_a_long_list_of_choices_wraps() -> None:
    facts = full_facts()
    row = facts["documents"]["narrowing_report"]["value"]["decisions"][0]
    row |= {"before": {"choices": [f"models/encoder-{n}" for n in range(9)]}, "after": {"value": 1}}
    page = render(facts)

    assert '<td class="v long">{models/encoder-0, ' in page
    assert '<td class="v nb">= 1</td>' in page


def test_a_figure_does_not_repeat_what_stands_above_it() -> None:
    facts = full_facts()
    facts["documents"]["quick_analysis"]["value"]["importance"]["note"] = "too few trials"
    figure = json.loads(facts["figures"]["quick_history"]["json"])
    figure["layout"]["title"] = {"text": "", "subtitle": {"text": "too few trials"}}
    facts["figures"]["quick_importance"] = {**found(None), "json": json.dumps(figure)}

    facts["documents"]["rerank_report"]["value"]["reason"] = "trial 1 leads"
    again = {"text": "Again", "subtitle": {"text": "trial 1 leads"}}
    layout = {**figure["layout"], "title": again}
    facts["figures"]["rerank"] = {**found(None), "json": json.dumps({**figure, "layout": layout})}
    text = visible(render(facts))

    assert text.count("too few trials") == 1
    assert "trial 1 leads" not in text
    assert "Again;" not in text


def test_the_library_is_packed_whole() -> None:
    import base64
    import gzip

    assert gzip.decompress(base64.b64decode(_figures.packed_plotly())) == _figures.plotly_script()
    assert _figures.plotly_script().lstrip()[:2] == b"/*"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.04, "0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (245, "4 min 05 s"),
        (12_000, "3 h 20 min"),
        (None, "–"),
    ],
)
def test_durations(value: float | None, text: str) -> None:
    shown = str(_numbers.duration(value))

    assert re.sub(r"<span[^>]*lang=\"ko\">.*?</span>|<[^>]+>", "", shown) == text


@pytest.mark.parametrize(
    ("filtered", "text"),
    [
        (_numbers.metric(0.21137), "0.2114"),
        (_numbers.metric(12), "12"),
        (_numbers.metric(float("nan")), "–"),
        (_numbers.metric(None), "–"),
        (_numbers.signed(-0.0061), "−0.0061"),
        (_numbers.count(87837), "87,837"),
        (_numbers.percent(0.0599, 1), "6.0 %"),
        (_numbers.plain(True), "true"),
        (_numbers.plain(0.00331712), "0.003317"),
        (_numbers.plain([1, "a"]), '[1, "a"]'),
        (_numbers.size(2_371_614), "2.3 MiB"),
        (_numbers.moment(VERSION), "2026-11-21 20:18 UTC"),
        (_numbers.moment("by hand"), "by hand"),
        (_numbers.metric_name("val_ndcg@10"), "valid NDCG@10"),
        (_numbers.metric_name("val_loss"), "valid loss"),
    ],
)
def test_numbers_and_names(filtered: str, text: str) -> None:
    assert filtered == text


def test_a_curve_reaches_from_the_first_to_the_last_epoch() -> None:
    history = [{"epoch": n, "train_loss": 10.0 - n, "val_ndcg@10": n / 100} for n in range(1, 11)]

    loss, metric = _curve.curves(history, monitor="val_ndcg@10", best_epoch=10)

    first, *_, last = loss.lines[0].points.split()
    assert first.startswith(f"{float(_curve.LEFT)},")
    assert last.startswith(f"{float(_curve.WIDTH - _curve.RIGHT)},")
    assert metric.mark is not None
    assert f"{metric.mark[0]},{metric.mark[1]}" == metric.lines[0].points.split()[-1]
    assert [label for _, label in metric.x_ticks] == ["1", "5", "10"]
    heights = [y for y, _ in loss.y_ticks]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("history", [None, [], [{"epoch": 1, "train_loss": 1.0}], [{"a": 1}]])
def test_one_epoch_is_no_curve(history: Any) -> None:
    assert _curve.curves(history, monitor="val_loss", best_epoch=1) == []


def test_a_flat_curve_can_be_drawn() -> None:
    history = [{"epoch": n, "train_loss": 0.0, "val_loss": 0.0} for n in (1, 2)]

    assert len(_curve.curves(history, monitor="val_loss", best_epoch=1)[0].lines) == 2
