"""Reports of `classify` and `summarize` in a browser: numbers, tables, figures, both languages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kedro_results import newest

sys.path.insert(0, str(Path(__file__).parents[1]))

from text_projects import finished, read_json

if TYPE_CHECKING:
    from playwright.sync_api import Page

PageAt = Callable[..., Any]

FIRST = {"classify": ("tuned", "macro_f1"), "summarize": ("rouge", "rouge_sum")}
"""Group and metric that the report leads with."""
ALL_DRAWN = """document.querySelectorAll('figure.drawn').length ===
    document.querySelectorAll('figure.drawn[data-done] .main-svg:first-child').length"""
HEADING = {"en": "Run report", "ko": "실행 보고서"}
METRICS = {"en": "Final metrics", "ko": "최종 지표"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=list(FIRST))
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def finished_text_project(
    task: str,
    tmp_path_factory: pytest.TempPathFactory,
    shared_project: Path,
    kedro_with: Callable[..., Any],
) -> Path:
    return finished(task, tmp_path_factory.getbasetemp(), shared_project, kedro_with)


def see_everything(page: Page) -> None:
    """Open what is closed, and go to the end, so that every figure comes into view."""
    page.eval_on_selector_all("main details", "all => all.forEach(one => one.open = true)")
    page.evaluate(
        """async () => {
            for (let y = 0; y < document.documentElement.scrollHeight; y += 400) {
                scrollTo({ top: y, behavior: "instant" });
                await new Promise(requestAnimationFrame);
            }
        }"""
    )


def is_overflowing(page: Page) -> bool:
    return bool(
        page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    )


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_report_shows_everything(
    page_at: PageAt, finished_text_project: Path, task: str, language: str, screen: Any
) -> None:
    folder = f"08_reporting/{task}"
    report = newest(finished_text_project, f"{folder}/run_report.html")
    visit = page_at(f"{report.as_uri()}?lang={language}", screen)
    page = visit.page
    see_everything(page)
    page.wait_for_function(ALL_DRAWN)
    visit.shot(f"report-{task}-{language}", whole=True)

    assert page.locator("h1").inner_text() == HEADING[language]
    assert page.locator("#metrics h2").inner_text() == METRICS[language]
    assert page.locator("figure.drawn").count() > 10
    assert not is_overflowing(page)
    for name, section in (("metrics", "#metrics"), ("ensemble_metrics", "#ensemble")):
        metrics = read_json(newest(finished_text_project, f"{folder}/{name}.json"))
        seen = page.locator(section).inner_text()
        group, metric = FIRST[task]
        for value in metrics["parts"]["valid"][group][metric].values():
            assert f"{value:.4f}" in seen
    assert_exhibits_are_shown(page, metrics["exhibits"])
    visit.assert_quiet()


def assert_exhibits_are_shown(page: Page, exhibits: dict[str, Any]) -> None:
    """Tables by their cells and figures by their captions, in the section of the ensemble."""
    section = page.locator("#ensemble")
    seen = " ".join(section.inner_text().split())
    figures = [one for one in exhibits.values() if one["kind"] != "table"]
    assert section.locator("figure.drawn .main-svg").count() >= len(figures)
    for one in exhibits.values():
        assert one["title"] in seen
    for table in (one for one in exhibits.values() if one["kind"] == "table"):
        for row in table["rows"]:
            told = [cell for cell in row if isinstance(cell, str)]
            assert all(" ".join(cell.split()) in seen for cell in told)
