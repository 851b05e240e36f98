"""Every run of a task ends with a page that says what the catalog holds."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from kedro_results import newest, read_newest

REPORTS = "data/08_reporting/recommend"


def document(project: Path, name: str) -> Any:
    return read_newest(project, f"{name}.json")


def shown(page: str) -> str:
    """The English text of a page."""
    page = re.sub(r"<(script|style|template)\b.*?</\1>", "", page, flags=re.DOTALL)
    page = re.sub(r'<span class="t" lang="ko">.*?</span>', "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.replace("<wbr>", ""))))


@pytest.fixture(scope="module")
def page(finished_project: Path) -> str:
    return newest(finished_project, "run_report.html").read_text(encoding="utf-8")


# ---- a run of everything -----------------------------------------------------------------------


def test_numbers_of_the_page_are_those_of_the_catalog(finished_project: Path, page: str) -> None:
    rungs = re.findall(r'data-value="([^"]+)" data-who="([^"]+)"', page)
    told = {who: float(value) for value, who in rungs}

    for part in ("test", "valid"):
        row = document(finished_project, "metrics")["parts"][part]["full_ranking"]["ndcg@10"]
        for who, value in row.items():
            assert told[f"{part}.{who}"] == value
        combined = document(finished_project, "ensemble_metrics")["parts"][part]["full_ranking"]
        assert told[f"{part}.ensemble"] == combined["ndcg@10"]["model"]


def test_every_stage_has_its_section(page: str) -> None:
    sections = re.findall(r'<section id="(\w+)"', page)

    assert sections == [
        *("answer", "asked", "data", "verify", "test", "quick", "narrowing", "medium", "rerank"),
        *("overfitting", "configs", "training", "metrics", "ensemble", "predictions", "time"),
        "reproduce",
    ]


def test_what_this_run_made_is_not_called_older(page: str) -> None:
    assert "From an earlier run" not in page


def test_every_figure_that_shows_something_is_in_the_page(
    finished_project: Path, page: str
) -> None:
    files = [max(each.iterdir()) / each.name for each in _figures(finished_project)]
    drawn = [file for file in files if json.loads(file.read_text(encoding="utf-8"))["data"]]

    assert page.count('<figure class="drawn"') == len(drawn) > 10


def test_names_of_items_are_text(page: str) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page


def test_neither_the_machine_nor_a_database_is_told(finished_project: Path, page: str) -> None:
    assert str(finished_project) not in page
    assert "sqlite:" not in page
    assert "studies.db" not in page


def test_it_says_how_to_come_by_the_same(finished_project: Path, page: str) -> None:
    folder = newest(finished_project, "run_report.html").parent
    checkpoint = document(finished_project, "metrics")["fingerprint"]

    text = shown(page)
    assert f"recommend.checkpoint:{folder.name}" in text
    assert checkpoint in text
    assert "recommend.earlier_best_config" not in text  # read before this run had made one
    assert "tuning.stages.quick.trials 4" in text
    assert "conf/local/parameters_tuning.yml" in text


def test_the_index_leads_to_it(finished_project: Path) -> None:
    folder = finished_project / "data" / "08_reporting"
    links = re.findall(r'href="([^"]+)"', (folder / "index.html").read_text(encoding="utf-8"))
    row = document(finished_project, "metrics")["parts"]["test"]["full_ranking"]["ndcg@10"]

    assert [folder / link for link in links] == [newest(finished_project, "run_report.html")]
    assert f"{row['model']:.4f}" in shown((folder / "index.html").read_text(encoding="utf-8"))


def _figures(project: Path) -> list[Path]:
    return sorted((project / REPORTS).glob("*_figure.json"))


# ---- a run that fails, and one after it --------------------------------------------------------


def test_a_run_that_fails_says_so_and_a_later_one_what_is_older(
    project: Path, kedro: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    raw = project / "data/01_raw/recommend"
    raw.mkdir(parents=True)
    rows = [f"{user},{item},1000" for user in range(1, 6) for item in range(1, 6)]
    (raw / "interactions.csv").write_text("\n".join(["user,item,time", *rows, ""]))

    params = "recommend.split.strategy=temporal"  # all times are equal
    failed = kedro("run", "--pipelines", "ingest,split", "--params", params)
    first = newest(project, "run_report.html")
    told = shown(first.read_text(encoding="utf-8"))

    assert failed.returncode == 1
    assert "This run failed. It ended in recommend.split" in told
    assert "Traceback" not in told
    assert "25 rows were read and 25 kept" in told
    index = project / "data/08_reporting/index.html"
    assert "failed" in shown(index.read_text(encoding="utf-8"))

    assert kedro("run", "--pipelines", "split").returncode == 0
    later = newest(project, "run_report.html")
    told = shown(later.read_text(encoding="utf-8"))

    assert later != first
    assert f"From an earlier run, {first.parent.name[:10]}" in told
    assert "This run failed" not in told
    listed = re.findall(r'href="([^"]+)"', index.read_text(encoding="utf-8"))
    assert [index.parent / link for link in listed] == [later, first]

    (first.parent / "entry.json").unlink()
    off = kedro("run", "--pipelines", "split", "--params", "report.enabled=false")
    assert off.returncode == 0
    assert newest(project, "run_report.html") == later
