"""The report of the tasks on texts: their own words, tables, figures and thresholds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from test_page import EVIL, Structure, visible
from text_facts import classify_facts, summarize_facts

from seqtune.reporting.page import render
from seqtune.run_report.verdict import answer

FACTS: dict[str, Callable[..., dict[str, Any]]] = {
    "classify": classify_facts,
    "summarize": summarize_facts,
}
OF_RECOMMEND = re.compile(r"\b(users?|items?|interactions?|Markov|popularity)\b|사용자 \d|아이템")


@pytest.fixture(scope="module", params=FACTS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render(facts()) for name, facts in FACTS.items()}


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found is not None, f"there is no section {name}"
    return found[0]


def english(page: str) -> str:
    """What a reader of English sees."""
    return visible(re.sub(r'<span class="t" lang="ko">.*?</span>', "", page, flags=re.DOTALL))


def test_nothing_is_said_that_belongs_to_another_task(pages: dict[str, str], task: str) -> None:
    said = visible(re.sub(r"<(script|style|template).*?</\1>", "", pages[task], flags=re.DOTALL))

    assert OF_RECOMMEND.findall(said) == []


def test_text_from_data_never_becomes_an_element(task: str) -> None:
    harmless, attacked = (Structure(render(FACTS[task](text))) for text in ("plain", EVIL))

    assert attacked.elements == harmless.elements
    assert EVIL in "".join(attacked.text)
    assert not any("</script" in script.lower() for script in attacked.scripts)


def test_the_answer_names_metric_part_and_floors(pages: dict[str, str]) -> None:
    classify, summarize = (english(section(pages[name], "answer")) for name in FACTS)

    assert "The final model reaches 0.7100 macro F1 on test" in classify
    assert "TF-IDF baseline, tuned thresholds" in classify
    assert "The trained model reaches 0.4000 ROUGE sum on valid" in summarize
    assert "The test set was used once" in classify
    assert "The test set was not used again" in summarize


def test_data_are_counted_in_rows(pages: dict[str, str]) -> None:
    classify, summarize = (english(section(pages[name], "data")) for name in FACTS)

    assert "120 rows were read and 110 kept. They carry 2 labels." in classify
    assert "equal texts with different labels" in classify
    assert "every label keeps its proportion in each part" in classify
    assert "Augmentation added 7 rows" in classify
    assert "Length of a dialogue in characters: median 300" in summarize


def test_metrics_of_any_group_are_shown_with_their_figures(pages: dict[str, str]) -> None:
    metrics = section(pages["classify"], "metrics")

    assert "On valid, 10 rows" in english(metrics)
    assert "With a threshold for each label" not in english(metrics)  # the first needs no heading
    assert "With a threshold of 0.5" in english(metrics)
    assert "Precision and recall per label" in english(metrics)
    assert metrics.count('<figure class="drawn"') == 2
    assert section(pages["classify"], "ensemble").count('<figure class="drawn"') == 2
    assert '<section id="figures"' not in pages["classify"]


def test_a_table_of_numbers_is_a_table(pages: dict[str, str]) -> None:
    metrics = section(pages["classify"], "metrics")

    assert "Per label" in english(metrics)
    assert re.search(r"<td class=\"n\">12</td><td class=\"n\">0\.5000</td>", metrics)
    assert "The file has 3 more rows." in english(metrics)
    assert 'class="record"' not in metrics


def test_long_texts_are_read_one_below_the_other(pages: dict[str, str]) -> None:
    metrics = section(pages["summarize"], "metrics")

    (record,) = re.findall(r'<div class="record">.*?</div>', metrics, re.DOTALL)
    assert re.search(r"<b>best</b>.*<b>a1</b>.*<b>1\.2500</b>", record, re.DOTALL)
    assert record.count('<p class="text">') == 2
    assert "plain\nplain" in record  # lines stay lines


def test_thresholds_of_the_ensemble_are_shown(pages: dict[str, str]) -> None:
    ensemble = english(section(pages["classify"], "ensemble"))

    assert "Threshold of each label" in ensemble
    assert "0.3100" in ensemble
    assert "Threshold of each label" not in english(section(pages["summarize"], "ensemble"))


def test_an_ensemble_that_chooses_is_not_said_to_add_up(pages: dict[str, str]) -> None:
    classify, summarize = (english(section(pages[name], "ensemble")) for name in FACTS)

    assert "put on one scale and summed" in classify
    assert "scale: minimum Bayes risk" in summarize
    assert "added up" not in summarize


@pytest.mark.parametrize(
    ("kept", "said"),
    [(("ingest_report", "split_report", "dry_run_report"), "29 rows"), (("ingest_report",), "29")],
)
def test_a_run_that_came_no_further_than_its_data_says_so(kept: tuple[str, ...], said: str) -> None:
    facts = summarize_facts()
    documents = {name: facts["documents"][name] for name in kept}
    values = {name: one["value"] for name, one in documents.items()}
    page = render({**facts, "documents": documents, "answer": answer(values), "tables": {}})

    assert said in english(section(page, "answer"))


def test_a_dry_run_has_its_section(pages: dict[str, str]) -> None:
    assert "Nothing was trained" in english(section(pages["summarize"], "dry_run"))


def test_predictions_are_counted_by_label(pages: dict[str, str]) -> None:
    classify = english(section(pages["classify"], "predictions"))

    assert "20 rows were predicted." in classify
    assert "times assigned" in classify


@pytest.mark.parametrize("name", ["ingest_report", "split_report", "metrics", "predict_report"])
def test_an_empty_report_is_no_error(task: str, name: str) -> None:
    facts = FACTS[task]()
    facts["documents"][name]["value"] = {}

    assert "Run report" in render(facts)


def test_only_long_texts_of_a_table_take_much_room() -> None:
    long = "a label that is told in a whole sentence"
    table = {"columns": ["label", "F1"], "rows": [["short", 0.5], [long, 0.25]], "left_out": 0}
    facts = classify_facts()
    classes = {**facts["tables"]["classes"], **table}
    page = render({**facts, "tables": {"classes": classes}})

    assert '<td class="nb">short</td>' in page
    assert f'<td class="long">{long}</td>' in page
