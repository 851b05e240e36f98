"""Figures and tables of a report: ROUGE beside the baselines, lengths, failures, and examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqtune.core.config import Section
from seqtune.core.format import shorten
from seqtune.core.metrics import BarChart, Curve, LineChart, ReportTable
from seqtune.core.row_metrics import RowMetrics, thirds
from seqtune.core.seeds import derive_seed
from seqtune.core.task import OURS
from seqtune.text.split import Part

from .decoder import GeneratedTexts
from .failures import COPIED, CUT, EMPTY, LONG
from .params import SummarizeConfig
from .rouge import NAMES, ROUGE_SUM, named

SHOWN = 400
"""Characters of a dialogue in the table of examples."""
BINS = 20
DIALOGUES = ("short dialogues", "medium dialogues", "long dialogues")
SHOWN_IDS = 5
FAILURES = {
    EMPTY: "empty",
    CUT: "no end at generation.max_new_tokens",
    LONG: "over twice as long as the longest reference",
    COPIED: "copied from the dialogue",
}
COLUMNS = ("kind", "id", "dialogue", "reference", "summary", ROUGE_SUM)


@dataclass(frozen=True)
class PartScores:
    """The summaries of a part by the model and the baselines, and their scores."""

    part: Part
    ids: list[str]
    dialogues: list[str]
    references: list[list[str]]
    written: GeneratedTexts
    summaries: dict[str, list[str]]
    """Of the model and the baselines, by name."""
    scores: dict[str, npt.NDArray[np.float64]]
    """ROUGE of each [N, 3]."""
    failures: dict[str, npt.NDArray[np.bool_]]
    """Masks [N] of the model's summaries, by kind of failure."""


def exhibits(scored: PartScores, config: SummarizeConfig, *, who: str) -> dict[str, Section]:
    """Return the figures and tables of one part."""
    return {
        "rouge": _rouge(scored, config, who=who),
        "lengths": _lengths(scored, who=who),
        "failures": _failures(scored),
        "examples": _examples(scored, config),
    }


def row_metrics(
    part: Part,
    dialogues: Sequence[str],
    scores: Mapping[str, npt.NDArray[np.float64]],  # [N, 3] by system
    *,
    metric: str = ROUGE_SUM,
) -> RowMetrics:
    """Return one of METRICS for every dialogue, in thirds by the length of the dialogue."""
    words = np.array([len(dialogue.split()) for dialogue in dialogues], np.int64)
    columns = list(range(len(NAMES))) if metric == ROUGE_SUM else [NAMES.index(metric)]
    return RowMetrics(
        part=part,
        metric=metric,
        unit="dialogues",
        values={name: own[:, columns].sum(axis=1) for name, own in scores.items()},
        segments=tuple(thirds(words, DIALOGUES, bounds="{} words")),
    )


def _rouge(scored: PartScores, config: SummarizeConfig, *, who: str) -> BarChart:
    means = {who if name == OURS else name: named(own) for name, own in scored.scores.items()}
    bars = {name: tuple(own[metric] for metric in NAMES) for name, own in means.items()}
    return BarChart(
        title=f"ROUGE on {scored.part}, beside the baselines",
        x="metric",
        y=f"F1 on {config.evaluation.tokenizer}",
        names=NAMES,
        bars=bars,
    )


def _lengths(scored: PartScores, *, who: str) -> LineChart:
    """Return the shares of texts by length."""
    references = [text for own in scored.references for text in own]
    texts = {who: scored.summaries[OURS], "reference": references}
    words = {name: [len(text.split()) for text in own] for name, own in texts.items()}
    longest = max(max(own, default=0) for own in words.values())
    width = max(1, -(-(longest + 1) // BINS))
    edges = np.arange(0, longest + width + 1, width)
    return LineChart(
        title=f"Length of summaries on {scored.part}",
        x="words",
        y="share of texts",
        lines=tuple(
            Curve(
                name=name,
                x=tuple((edges[:-1] + (width - 1) / 2).tolist()),
                y=tuple((np.histogram(own, edges)[0] / max(len(own), 1)).tolist()),
            )
            for name, own in words.items()
        ),
    )


def _failures(scored: PartScores) -> ReportTable:
    """Return how many summaries fail in each way, with the first of them."""
    rows = []
    for kind, found in scored.failures.items():
        ids = [scored.ids[row] for row in np.flatnonzero(found)]
        share = len(ids) / max(len(found), 1)
        rows.append((FAILURES[kind], len(ids), round(share, 4), ", ".join(ids[:SHOWN_IDS])))
    return ReportTable(
        title=f"Summaries of {scored.part} that fail",
        columns=("kind", "summaries", "share", "the first of them"),
        rows=tuple(rows),
    )


def _examples(scored: PartScores, config: SummarizeConfig) -> ReportTable:
    sums = scored.scores[OURS].sum(axis=1)
    rows = [
        (
            kind,
            scored.ids[row],
            shorten(scored.dialogues[row], SHOWN),
            scored.references[row][0],
            scored.written.texts[row],
            round(float(sums[row]), 4),
        )
        for kind, row in _picked(sums, config, part=scored.part)
    ]
    return ReportTable(
        title=f"Summaries of {scored.part}: best, worst and random by ROUGE sum",
        columns=COLUMNS,
        rows=tuple(rows),
    )


def _picked(sums: np.ndarray, config: SummarizeConfig, *, part: str) -> Iterator[tuple[str, int]]:
    """Yield rows to show; the random ones do not depend on the scores."""
    most = config.evaluation.num_examples
    order = np.argsort(-sums, kind="stable")
    random = np.random.default_rng(derive_seed(config.seed, "examples", part))
    kinds = {
        "best": order[:most],
        "worst": order[::-1][:most],
        "random": np.sort(random.permutation(len(sums))[:most]),
    }
    for kind, rows in kinds.items():
        for row in rows:
            yield kind, int(row)
