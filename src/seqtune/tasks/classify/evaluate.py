"""Metrics of a checkpoint or an ensemble on held-out rows, with the baselines.

Thresholds are never tuned on the rows that they are scored on: test uses those of valid (or of the
ensemble's manifest), valid is cross-fitted.
Shapes: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from seqtune.core.metrics import (
    EXHIBITS,
    HEADLINE,
    PARTS,
    compare_with_baselines,
    dump_report_items,
    wanted_parts,
)
from seqtune.core.row_metrics import compare_with_others
from seqtune.core.task import OURS, Report
from seqtune.text.split import Part

from .baselines import TFIDF_TUNED, Baseline, learning_curve, open_baselines, tuned_scores
from .data import ClassifyData, Targets
from .decisions import HELD_OUT, Decisions, Scores
from .ensemble import open_model
from .metrics import MACRO_F1, by_label, decided_metrics, lrap
from .report_items import PartResults, exhibits, learning
from .text_metrics import text_metrics
from .thresholds import FOLDS, HALF, Floats

TUNED, AT_HALF, RANKING, LABELS = "tuned", "at_half", "ranking", "f1_by_label"
Columns = Mapping[str, Scores]
"""The model and the baselines by name."""
Metrics = dict[str, dict[str, float]]
"""By metric or label, then by column."""


def evaluate(
    checkpoint: Path, data: ClassifyData, *, parts: Collection[str] | None = None
) -> Report:
    """Score the best weights of a checkpoint or an ensemble on valid and test; JSON-ready."""
    opened = open_model(checkpoint)
    opened.require_labels(data)
    exist = [part for part in HELD_OUT if data.num_rows(part)]
    wanted = cast("list[Part]", wanted_parts(exist, parts))
    floors = open_baselines(data, tfidf=opened.config.evaluation.floor) if wanted else []
    decisions = Decisions(opened, data, partial(opened.probabilities_of, data))
    found, rows, drawn = {}, [], Report()
    for part in wanted:
        own = decisions.scores(part)
        found[part] = _score_part(decisions, own, floors, part)
        decided = {n: c.decided for n, c in {OURS: own, **tuned_scores(floors, part)}.items()}
        rows.append(text_metrics(data, part, decided))
        drawn = exhibits(_part_results(decisions, own, floors, part))
    lines, items = compare_with_others(rows, who=opened.kind, seed=opened.config.seed)
    drawn |= dump_report_items(items)
    if wanted:
        on_valid = found["valid"][TUNED][MACRO_F1] if "valid" in found else {}
        drawn |= dump_report_items({"learning": learning(_f1_by_texts(data, on_valid))})
    return {
        HEADLINE: [*(one["verdict"] for one in found.values()), *lines],
        **_facts(decisions),
        PARTS: found,
        EXHIBITS: drawn,
    }


def _score_part(
    decisions: Decisions, own: Scores, floors: Sequence[Baseline], part: Part
) -> Report:
    """Compute the metrics of the model and the baselines, group by group."""
    targets = decisions.data.targets(part)
    at_half = {OURS: own._replace(thresholds=HALF)}
    at_half |= {f.names[0]: Scores(f.probabilities[part], HALF) for f in floors}
    tuned = {OURS: own, **tuned_scores(floors, part)}
    groups = {
        TUNED: _decided_group(tuned, targets),
        AT_HALF: _decided_group(at_half, targets),
        RANKING: {"lrap": {name: lrap(c.probabilities, targets) for name, c in at_half.items()}},
        LABELS: _label_group(tuned, targets, decisions.data.labels),
    }
    if not decisions.has_thresholds:
        groups.pop(TUNED)
    first = next(iter(groups.values()))
    verdict = compare_with_baselines(
        first[MACRO_F1], f"{part} {MACRO_F1}", who=decisions.model.kind
    )
    return {"rows": len(targets), "verdict": verdict, **groups}


def _decided_group(columns: Columns, targets: Targets) -> Metrics:
    return _transpose(
        {n: decided_metrics(c.probabilities, targets, c.thresholds) for n, c in columns.items()}
    )


def _label_group(columns: Columns, targets: Targets, labels: Sequence[str]) -> Metrics:
    f1 = {name: _f1(column, targets).tolist() for name, column in columns.items()}
    return _transpose({name: dict(zip(labels, own, strict=True)) for name, own in f1.items()})


def _transpose(by_column: Mapping[str, Mapping[str, float]]) -> Metrics:
    return {
        metric: {name: values[metric] for name, values in by_column.items()}
        for metric in by_column[OURS]
    }


def _f1(column: Scores, targets: Targets) -> Floats:  # [L]
    return by_label(column.decided, targets).f1


def _part_results(
    decisions: Decisions, own: Scores, floors: Sequence[Baseline], part: Part
) -> PartResults:
    data = decisions.data
    targets, best = data.targets(part), floors[0]
    return PartResults(
        part=part,
        labels=data.labels,
        probabilities=own.probabilities,
        targets=targets.astype(bool),
        decided=own.decided,
        thresholds=decisions.thresholds,
        fit_targets=data.targets("train")[~data.is_augmented].astype(bool),
        floor=best.names[1],
        floor_f1=_f1(Scores(best.probabilities[part], best.thresholds), targets),
    )


def _f1_by_texts(data: ClassifyData, macro_f1: Mapping[str, float]) -> dict[str, dict[int, float]]:
    """Return macro F1 on valid by the number of labelled texts; empty without tfidf."""
    if TFIDF_TUNED not in macro_f1:
        return {}
    num_texts = data.num_fit_rows
    return {
        TFIDF_TUNED: learning_curve(data) | {num_texts: macro_f1[TFIDF_TUNED]},
        OURS: {num_texts: macro_f1[OURS]},
    }


def _facts(decisions: Decisions) -> Report:
    """Describe the model, the data and the protocol."""
    data, opened = decisions.data, decisions.model
    return {
        **opened.identity(),
        "data_hash": data.content_hash,
        "protocol": _protocol(decisions),
        "definitions": DEFINITIONS,
        **opened.configuration(),
        "labels": list(data.labels),
        "thresholds": dict(zip(data.labels, decisions.thresholds.tolist(), strict=True)),
    }


def _protocol(decisions: Decisions) -> str:
    """Describe the evaluation in a paragraph to quote with the numbers."""
    if not decisions.has_thresholds:
        return (
            "There is no valid part to tune thresholds on: a label is given at a probability of "
            "0.5 or more. The baselines are trained on the same fit part, without augmented rows."
        )
    text = (
        f"Metrics named {TUNED} decide by a threshold for each label. For test, thresholds were "
        "tuned on the whole of valid; on valid each row is decided by thresholds tuned on the "
        f"other {FOLDS - 1} of {FOLDS} folds, so that none is scored on the rows it was tuned on. "
        f"Metrics named {AT_HALF} give a label at a probability of 0.5 or more. The baselines are "
        "trained on the fit part, without augmented rows; their thresholds were tuned on "
        "out-of-fold predictions of it."
    )
    if decisions.model.kind == "ensemble":
        text += (
            " The members' shares were tuned on the whole of valid, so the ensemble's metrics on "
            "valid are optimistic."
        )
    return text


DEFINITIONS = {
    MACRO_F1: "mean of the labels' F1; a label with neither positives nor decisions counts as 0",
    "micro_f1": "F1 over all decisions of all labels together",
    "macro_precision": "mean of the labels' precision; 0 for a label that was never given",
    "macro_recall": "mean of the labels' recall; 0 for a label without positives",
    "exact_match": "share of texts with all labels right",
    "lrap": "label ranking average precision; equal probabilities count against the model, texts "
    "without labels count as 1",
    LABELS: "F1 of each label, decided like the first group of metrics",
}
