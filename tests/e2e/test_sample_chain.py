"""`make run`, step by step: the sample data is learnt, and everything promised lies there."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from kedro_results import Kedro, newest, read_newest


@pytest.mark.slow
def test_trained_sample_model_beats_all_floors_by_far(kedro_command: Kedro, project: Path) -> None:
    for arguments in (["--pipelines", "sample"], []):
        result = kedro_command("run", "--env", "sample", *arguments, timeout=1200)
        assert result.returncode == 0, result.stdout + result.stderr

    metrics = read_newest(project, "sample/08_reporting/recommend/metrics.json")
    for part in ("valid", "test"):
        ndcg = metrics["parts"][part]["full_ranking"]["ndcg@10"]
        assert ndcg["model"] > 2 * max(ndcg["markov"], ndcg["popularity"]), ndcg
        assert ndcg["model"] > 1.2 * ndcg["item_to_item"], ndcg

    submission = newest(project, "sample/07_model_output/recommend/submission.csv")
    assert str(submission.relative_to(project)) in result.stdout
    with submission.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(Counter(row["user"] for row in rows).values()) == {10}
    assert all(row["user"].startswith("u") and row["item"].startswith("film-") for row in rows)


FIRST = {"classify": ("tuned", "macro_f1"), "summarize": ("rouge", "rouge_sum")}


@pytest.mark.slow
@pytest.mark.parametrize("task", list(FIRST))
def test_texts_of_the_sample_are_learnt(kedro_command: Kedro, project: Path, task: str) -> None:
    for pipeline in (f"{task}.sample", task):
        result = kedro_command("run", "--env", "sample", "--pipelines", pipeline, timeout=1200)
        assert result.returncode == 0, result.stdout + result.stderr
    data = project / "data/sample"

    metrics = read_newest(project, f"sample/08_reporting/{task}/ensemble_metrics.json")
    group, metric = FIRST[task]
    for part in ("valid", "test"):
        values = metrics["parts"][part][group][metric]
        floors = [value for name, value in values.items() if name != "model"]
        assert values["model"] > max(floors), values

    submission = newest(project, f"sample/07_model_output/{task}/submission.csv")
    assert str(submission.relative_to(project)) in result.stdout
    assert (data / f"08_reporting/{task}/run_report.html").is_dir()
