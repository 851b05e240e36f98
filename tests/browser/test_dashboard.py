"""The Optuna dashboard in a browser: the newest search, its numbers, and nothing to break."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def dashboard(serve: Callable[..., Any], finished_project: Path) -> Any:
    return serve(["kedro", "dashboard", "--port", "{port}"], cwd=finished_project)


@pytest.fixture(scope="module")
def trials(finished_project: Path) -> pd.DataFrame:
    """The trials of the medium stage, as tuning wrote them."""
    (folder,) = (finished_project / "data").glob("0*/recommend/medium_trials.parquet")
    return pd.read_parquet(max(folder.iterdir()) / "medium_trials.parquet")


def link_of(dashboard: Any) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+/dashboard/studies/\d+", dashboard.said())
    assert found, dashboard.said()
    return found[0]


def ask(url: str, *, method: str = "GET") -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, method=method), timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def test_link_leads_to_the_newest_search_and_its_best_trial(
    dashboard: Any, page_at: Callable[..., Any], screen: Any, trials: pd.DataFrame
) -> None:
    best = trials.loc[trials["score"].idxmax()]
    link = link_of(dashboard)
    assert str(best["study"]) in dashboard.said()

    visit = page_at(link, screen)
    visit.page.locator(".js-plotly-plot .point").first.wait_for()
    visit.shot("dashboard-study")
    assert visit.page.get_by_text(str(best["study"])).count()
    assert visit.page.get_by_text("val_ndcg@10").count()  # and not "Objective 0"

    visit.page.goto(f"{link}/trials?numbers={best['number']}")
    visit.page.get_by_text("Best Trial").first.wait_for()
    visit.page.get_by_text(str(best["score"]), exact=True).first.wait_for()
    visit.shot("dashboard-trial")
    visit.assert_quiet()


def test_all_studies_are_listed_with_their_names(
    dashboard: Any, page_at: Callable[..., Any]
) -> None:
    visit = page_at(f"{dashboard.url}/dashboard")

    for stage in ("test", "quick", "medium"):
        visit.page.get_by_text(re.compile(rf"recommend-{stage}-[0-9a-f]{{8}}")).wait_for()
    visit.shot("dashboard-studies")
    visit.assert_quiet()


def test_nothing_can_be_deleted_or_renamed(dashboard: Any) -> None:
    study = link_of(dashboard).rpartition("/")[2]
    before = ask(f"{dashboard.url}/api/studies")

    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        ask(f"{dashboard.url}/api/studies/{study}", method="DELETE")
    assert b"read-only" in refused.value.read()
    refused.value.close()
    assert ask(f"{dashboard.url}/api/studies") == before
