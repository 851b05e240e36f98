"""Summaries of models, baselines and files, scored on the same dialogues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtune.core.config import CompareConfig
from seqtune.core.errors import ConfigurationError, DataError
from seqtune.core.row_metrics import RowMetrics
from seqtune.tasks.summarize.compare import score_rows
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.evaluate import evaluate
from seqtune.tasks.summarize.scorer import describe

from .checkpoint_folders import write_ensemble
from .examples import rows as made_rows
from .examples import write_split


def scored(
    models: dict[str, Path], data: SummarizeData, *answers: Path, **settings: Any
) -> tuple[RowMetrics, dict[str, Any]]:
    return score_rows(models, answers, data, CompareConfig(**settings), scratch=data.path)


def summarised(path: Path, summaries: dict[str, Any], *, id_column: str = "fname") -> Path:
    lines = [json.dumps({id_column: own, "summary": text}) for own, text in summaries.items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_models_ensembles_and_baselines_write_as_in_evaluate(
    three: dict[str, Path], food: SummarizeData, tmp_path: Path
) -> None:
    both = write_ensemble(tmp_path / "both", {three["m2"]: 0.4, three["m3"]: 0.6})
    models = {"model": three["m3"], "ensemble": both}
    rows, facts = scored(models, food, max_rows=100)
    assert list(rows.values) == ["model", "ensemble", "lead_3", "longest_sentence"]
    assert (rows.metric, rows.unit) == ("rouge_sum", "dialogues")
    for name, path in models.items():
        found = evaluate(path, food, parts=("valid",))["parts"]["valid"]["rouge"]["rouge_sum"]
        assert rows.overall[name] == pytest.approx(found["model"], rel=1e-12)
        assert rows.overall["lead_3"] == pytest.approx(found["lead_3"], rel=1e-12)
    assert facts["headline"] == [
        "12 of 12 dialogues of valid were summarised by each model (compare.max_rows)"
    ]


def test_few_rows_are_a_sample_and_counted(three: dict[str, Path], food: SummarizeData) -> None:
    usual, facts = scored({"model": three["m3"]}, food)
    most = describe(three["m3"]).config.evaluation.max_rows
    assert len(usual.values["model"]) == facts["rows"] == most < 12
    rows, facts = scored({"model": three["m3"]}, food, max_rows=5, metric="rouge1")
    assert {len(own) for own in rows.values.values()} == {5}
    assert (facts["rows"], facts["rows_of_part"]) == (5, 12)
    assert "5 of 12 dialogues of valid" in facts["headline"][0]
    assert rows.metric == "rouge1"
    assert max(own.max() for own in rows.values.values()) <= 1.0


def test_summaries_of_a_file(three: dict[str, Path], food: SummarizeData, tmp_path: Path) -> None:
    references = dict(zip(food.ids("valid"), food.references("valid"), strict=True))
    perfect = {own: texts[0] for own, texts in references.items()}
    path = summarised(tmp_path / "oracle.jsonl", {**perfect, "of another part": "?"})
    rows, facts = scored({"model": three["m1"]}, food, path)
    assert np.allclose(rows.values["oracle"], 3.0)
    assert facts["answers"] == [str(path)]


def test_bad_summaries_and_names_are_refused(
    three: dict[str, Path], food: SummarizeData, tmp_path: Path
) -> None:
    models = {"model": three["m1"]}
    first, second, *_ = food.ids("valid")
    path = summarised(tmp_path / "theirs.jsonl", {first: 3, second: "They have soup."})
    with pytest.raises(DataError) as raised:
        scored(models, food, path, max_rows=100)
    assert f"summaries must be texts: {path}, line 1: column 'summary' holds 3" in str(raised.value)
    assert "ids without an answer: " in str(raised.value)
    with pytest.raises(DataError, match="has no column 'fname'"):
        scored(models, food, summarised(tmp_path / "b.jsonl", {first: "x"}, id_column="name"))
    with pytest.raises(DataError, match="another system 'lead_3'; rename the file"):
        scored(models, food, summarised(tmp_path / "lead_3.jsonl", {first: "x"}))


def test_an_unknown_metric_and_an_absent_part_are_refused(
    three: dict[str, Path], food: SummarizeData, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"compare\.metric=bleu: .* rouge_sum; choose"):
        scored({"model": three["m1"]}, food, metric="bleu")
    whole = write_split(tmp_path / "whole", made_rows(6), [])
    with pytest.raises(DataError, match=r"no valid part .* summarize\.split\.use_full_data=false"):
        scored({"model": three["m1"]}, whole)
