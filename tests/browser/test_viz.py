"""Kedro-Viz in a browser: the stages are its boxes, and it shows what the catalog holds."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from screens import DESKTOP

from kedro_results import newest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

STAGES = ["ingest", "split", "verify_env", "tune", "train", "ensemble", "predict"]
PATIENCE = 50
TRIES_MS = (10_000, 20_000, 40_000)
"""On a machine that is too busy Viz does not come back to its address, and is opened again."""
LAYERS = [
    "raw",
    "intermediate",
    "model input",
    "tuning",
    "models",
    "model output",
    "reporting",
]
FONTS = ("fonts.googleapis.com", "fonts.gstatic.com")
"""Its page asks for them, and does without."""
SEARCH = {"test", "quick", "medium", "best", "seed"}


@pytest.fixture(scope="module")
def graph(serve: Callable[..., Any], finished_project: Path) -> Any:
    command = ["kedro", "viz", "run", "--host", "127.0.0.1", "--no-browser", "--port", "{port}"]
    return serve(command, cwd=finished_project)


def fetch(url: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return json.load(answer)


def boxes(page: Page) -> dict[str, float]:
    """Stages on the page, and how far down they are when they have come to rest."""
    shown = page.locator(".pipeline-node--modularPipeline")
    shown.first.wait_for()
    places: dict[str, float] = {}
    for _ in range(PATIENCE):
        before = places
        places = shown.evaluate_all(
            "all => Object.fromEntries(all.map(one =>"
            " [one.dataset.id, one.getBoundingClientRect().y]))"
        )
        if places == before:
            return places
        page.wait_for_timeout(200)
    raise AssertionError("the graph does not come to rest")


def in_chart(page: Page, name: str) -> Locator:
    return page.locator(f'.pipeline-node[data-id="{name}"]')


def select(graph: Any, page_at: Callable[..., Any], screen: Any, dataset: str) -> Any:
    visit = page_at(f"{graph.url}/?sn=recommend.{dataset}", screen)
    from playwright.sync_api import TimeoutError as TooLate

    panel = visit.page.locator(".pipeline-metadata--visible")
    *tries, last = TRIES_MS
    for patience in tries:
        try:
            panel.wait_for(timeout=patience)
            return visit
        except TooLate:
            visit.page.reload()
    panel.wait_for(timeout=last)
    return visit


def test_graph_opens_at_the_task(graph: Any, page_at: Callable[..., Any], screen: Any) -> None:
    visit = page_at(graph.url, screen)

    assert list(boxes(visit.page)) == ["recommend"]
    visit.shot("viz-overview")
    visit.assert_quiet(may_ask=FONTS)


def test_each_box_opens_to_its_parts(graph: Any, page_at: Callable[..., Any]) -> None:
    visit = page_at(graph.url, DESKTOP)
    boxes(visit.page)
    in_chart(visit.page, "recommend").click(force=True)
    in_chart(visit.page, "recommend.tune").wait_for()
    assert sorted(boxes(visit.page)) == sorted(f"recommend.{stage}" for stage in STAGES)
    visit.shot("viz-stages")

    in_chart(visit.page, "recommend.tune").click(force=True)
    in_chart(visit.page, "recommend.tune.quick").wait_for()
    assert boxes(visit.page).keys() >= {f"recommend.tune.{part}" for part in SEARCH}
    visit.shot("viz-tune")
    visit.assert_quiet(may_ask=FONTS)


def test_metrics_are_those_of_the_catalog(
    graph: Any, page_at: Callable[..., Any], screen: Any, finished_project: Path
) -> None:
    metrics = json.loads(newest(finished_project, "metrics.json").read_text())

    visit = select(graph, page_at, screen, "metrics")
    visit.page.get_by_text("Expand preview").click()

    preview = visit.page.locator(".pipeline-metadata-modal")
    preview.get_by_text(metrics["headline"][0]).first.wait_for()
    visit.shot("viz-metrics")
    visit.assert_quiet(may_ask=FONTS)


def test_figure_is_that_of_the_catalog(
    graph: Any, page_at: Callable[..., Any], screen: Any, finished_project: Path
) -> None:
    figure = json.loads(newest(finished_project, "quick_history_figure.json").read_text())

    visit = select(graph, page_at, screen, "quick_history_figure")
    visit.page.get_by_text("Expand preview").click()

    drawn = visit.page.locator(".pipeline-metadata-modal .js-plotly-plot")
    drawn.locator(".scatterlayer .point").first.wait_for()
    visit.shot("viz-figure")
    data = drawn.evaluate("plot => plot.data.map(trace => Array.from(trace.y ?? []))")
    assert [len(trace) for trace in data] == [
        len(trace["y"]["bdata"] if isinstance(trace["y"], dict) else trace["y"])
        for trace in figure["data"]
    ]
    visit.assert_quiet(may_ask=FONTS)


def test_table_of_trials_is_that_of_the_catalog(
    graph: Any, page_at: Callable[..., Any], finished_project: Path
) -> None:
    trials = pd.read_parquet(newest(finished_project, "quick_trials.parquet"))

    visit = select(graph, page_at, DESKTOP, "quick_trials")
    visit.page.get_by_text("Expand preview").click()

    table = visit.page.locator(".pipeline-metadata-modal table").first
    table.locator("td", has_text="complete").first.wait_for()
    visit.shot("viz-trials")
    head = table.locator("th").all_inner_texts()
    cells = table.locator("tr", has=visit.page.locator("td")).first.locator("td").all_inner_texts()
    first = dict(zip(head, cells, strict=True))
    assert first["params"] == trials["params"][0]
    assert float(first["score"]) == pytest.approx(trials["score"][0])
    visit.assert_quiet(may_ask=FONTS)


@pytest.mark.parametrize("dataset", ["verify_page", "study_storage"])
def test_dataset_without_a_preview_opens_all_the_same(
    graph: Any, page_at: Callable[..., Any], dataset: str
) -> None:
    visit = select(graph, page_at, DESKTOP, dataset)

    assert f"recommend.{dataset}" in visit.page.locator(".pipeline-metadata").inner_text()
    visit.assert_quiet(may_ask=FONTS)


def test_layers_are_in_the_order_of_the_method(graph: Any) -> None:
    """Kedro-Viz leaves them out where datasets of two layers are made from one another."""
    assert fetch(f"{graph.url}/api/main")["layers"] == LAYERS


def test_every_figure_report_and_table_of_the_run_is_previewed(
    graph: Any, finished_project: Path
) -> None:
    nodes = {
        node["name"].removeprefix("recommend."): fetch(f"{graph.url}/api/nodes/{node['id']}")
        for node in fetch(f"{graph.url}/api/main")["nodes"]
        if node["type"] == "data"
    }
    wanted = {
        name
        for name in nodes
        if name.endswith(("_figure", "_report", "_analysis", "_trials", "metrics"))
        and list((finished_project / "data").glob(f"0*/recommend/{name}.*"))
    }

    assert len(wanted) > 25
    assert [name for name in sorted(wanted) if not nodes[name].get("preview")] == []
