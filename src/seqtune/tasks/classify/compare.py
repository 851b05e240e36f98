"""Decide the labels of held-out texts by models, baselines and the answers of other systems.

Shapes: N texts, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seqtune.core.config import CompareConfig
from seqtune.core.metrics import HEADLINE
from seqtune.core.row_metrics import RowMetrics, read_systems
from seqtune.core.task import Report
from seqtune.text.answers import AnswerFiles, require_rows
from seqtune.text.split import Part

from .baselines import open_baselines, tuned_scores
from .data import ID, ClassifyData, Targets
from .decisions import FOLD_SEED, Decisions, Scores
from .ensemble import describe_model, open_model
from .metrics import MACRO_F1
from .params import IngestConfig
from .reading import COLUMNS_KEY
from .text_metrics import text_metrics
from .thresholds import FOLDS, HALF, Floats, cross_fitted

PROTOCOL = (
    "Models decide by a threshold for each label; each text of valid is decided by thresholds "
    f"tuned on the other {FOLDS - 1} of {FOLDS} folds, those of files with probabilities too. "
    "Baselines decide by thresholds from out-of-fold probabilities of the fit part. Each draw of "
    "the bootstrap counts labels again; thresholds stay."
)


def score_rows(
    models: Mapping[str, Path],
    answers: tuple[Path, ...],
    data: ClassifyData,
    settings: CompareConfig,
    *,
    scratch: Path,
) -> tuple[RowMetrics, Report]:
    """Decide the texts of one part; the first model decides how files are read.

    One model is in memory at a time.
    """
    del scratch
    part = settings.part
    require_rows(data, part, task="classify")
    described = {name: describe_model(path) for name, path in models.items()}
    for model in described.values():
        model.require_labels(data)
    config = next(iter(described.values())).config
    floors = open_baselines(data, tfidf=config.evaluation.floor)
    names = [name for floor in floors for name in floor.names]
    ids = data.table(part)[ID].to_pylist()
    files = _answer_files(ids, data.labels, config.ingest)
    others = read_systems(answers, files.read, taken=(*models, *names))
    systems = {name: _scores(path, data, part) for name, path in models.items()}
    systems |= tuned_scores(floors, part)
    systems |= {name: _as_scores(np.array(own), data.targets(part)) for name, own in others.items()}
    metric = MACRO_F1 if settings.metric == "auto" else settings.metric
    decided = {name: own.decided for name, own in systems.items()}
    return text_metrics(data, part, decided, metric=metric), {
        HEADLINE: [],
        "data_hash": data.content_hash,
        "protocol": PROTOCOL,
        "models": {name: model.identity() for name, model in described.items()},
        "answers": [str(path) for path in answers],
    }


def _answer_files(
    ids: Sequence[str], labels: Sequence[str], config: IngestConfig
) -> AnswerFiles[float]:
    return AnswerFiles(
        ids,
        config.columns.id or ID,
        labels,
        _parse_share,
        "labels must be 0 or 1, or probabilities from 0 to 1",
        config,
        keys=COLUMNS_KEY,
    )


def _scores(path: Path, data: ClassifyData, part: Part) -> Scores:
    model = open_model(path)
    return Decisions(model, data, partial(model.probabilities_of, data)).scores(part)


def _as_scores(answered: Floats, targets: Targets) -> Scores:
    """Take decisions [N, L] as they are; decide by probabilities as models do."""
    if np.isin(answered, (0.0, 1.0)).all():
        return Scores(answered, HALF)
    return Scores(answered, cross_fitted(answered, targets, seed=FOLD_SEED))


def _parse_share(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if 0.0 <= found <= 1.0 else None
