"""Metrics of a checkpoint or an ensemble on held-out rows, beside the baselines.

Thresholds never come from the rows that they are scored on: test uses those of valid (or of the
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
    wanted_parts,
)
from seqtune.core.task import OURS, Report
from seqtune.text.split import Part

from .baselines import Baseline, open_baselines
from .data import ClassifyData, Targets
from .decisions import HELD_OUT, Decisions, Scores
from .ensemble import open_model
from .metrics import MACRO_F1, by_label, decided_metrics, lrap
from .report_items import PartResults, exhibits
from .thresholds import FOLDS, HALF, Floats

TUNED, AT_HALF, RANKING, LABELS = "tuned", "at_half", "ranking", "f1_by_label"
Columns = Mapping[str, Scores]
"""By name: the model and the baselines."""


def evaluate(
    checkpoint: Path, data: ClassifyData, *, parts: Collection[str] | None = None
) -> Report:
    """Metrics of the best weights of a checkpoint or an ensemble on valid and test; JSON-ready."""
    opened = open_model(checkpoint)
    opened.require_labels(data)
    exist = [part for part in HELD_OUT if data.num_rows(part)]
    wanted = cast("list[Part]", wanted_parts(exist, parts))
    floors = open_baselines(data, tfidf=opened.config.evaluation.floor) if wanted else []
    decisions = Decisions(opened, data, partial(opened.probabilities_of, data))
    found, drawn = {}, Report()
    for part in wanted:
        own = decisions.scores(part)
        found[part] = _part(decisions, own, floors, part)
        drawn = exhibits(_part_results(decisions, own, floors, part))
    return {
        HEADLINE: [one["verdict"] for one in found.values()],
        **_facts(decisions),
        PARTS: found,
        EXHIBITS: drawn,
    }


def _part(decisions: Decisions, own: Scores, floors: Sequence[Baseline], part: Part) -> Report:
    """Metrics of the model and the floors, group by group."""
    targets = decisions.data.targets(part)
    at_half = {OURS: own._replace(thresholds=HALF)}
    at_half |= {f.names[0]: Scores(f.probabilities[part], HALF) for f in floors}
    tuned = {OURS: own}
    tuned |= {f.names[1]: Scores(f.probabilities[part], f.thresholds) for f in floors}
    groups = {
        TUNED: _decided_group(tuned, targets),
        AT_HALF: _decided_group(at_half, targets),
        RANKING: {"lrap": {name: lrap(c.probabilities, targets) for name, c in at_half.items()}},
        LABELS: _by_label(tuned, targets, decisions.data.labels),
    }
    if not decisions.has_thresholds:
        groups.pop(TUNED)
    first = next(iter(groups.values()))
    verdict = compare_with_baselines(
        first[MACRO_F1], f"{part} {MACRO_F1}", who=decisions.model.kind
    )
    return {"rows": len(targets), "verdict": verdict, **groups}


def _decided_group(columns: Columns, targets: Targets) -> dict[str, dict[str, float]]:
    """Metric by metric, the model first."""
    found = {
        name: decided_metrics(c.probabilities, targets, c.thresholds) for name, c in columns.items()
    }
    return {
        metric: {name: values[metric] for name, values in found.items()} for metric in found[OURS]
    }


def _by_label(
    columns: Columns, targets: Targets, labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    found = {name: _f1(column, targets).tolist() for name, column in columns.items()}
    return {
        label: {name: values[number] for name, values in found.items()}
        for number, label in enumerate(labels)
    }


def _f1(column: Scores, targets: Targets) -> Floats:  # [L]
    return by_label(column.probabilities >= column.thresholds, targets).f1


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
        decided=own.probabilities >= own.thresholds,
        thresholds=decisions.thresholds,
        fit_targets=data.targets("train")[~data.is_augmented].astype(bool),
        floor=best.names[1],
        floor_f1=_f1(Scores(best.probabilities[part], best.thresholds), targets),
    )


def _facts(decisions: Decisions) -> Report:
    """What was evaluated, on what, and how to read the numbers."""
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
    """How the numbers were made, in words that go with them wherever they are quoted."""
    if not decisions.has_thresholds:
        return (
            "Nothing is held out to find thresholds on: every label is given from a probability of "
            "0.5 on. The floors learn from the same fit part, without augmented rows."
        )
    text = (
        f"Metrics named {TUNED} decide by a threshold for each label. On test they were found on "
        f"the whole of valid; on valid each row is decided by thresholds found on the other "
        f"{FOLDS - 1} of {FOLDS} folds, so that none is scored on the rows it was found on. Those "
        f"named {AT_HALF} give every label from a probability of 0.5 on. The floors learn from the "
        "fit part, without augmented rows; their thresholds were found there too, on rows held "
        "out from them."
    )
    if decisions.model.kind == "ensemble":
        text += (
            " The members' shares were found on the whole of valid: on valid the ensemble looks "
            "better than it is by what that is worth."
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
