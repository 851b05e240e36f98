"""Evaluate a checkpoint or an ensemble: ROUGE of its summaries beside two baselines."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from seqtune.core.metrics import (
    EXHIBITS,
    HEADLINE,
    compare_with_baselines,
    dump_report_items,
    wanted_parts,
)
from seqtune.core.row_metrics import compare_with_others
from seqtune.core.task import OURS, Report
from seqtune.text.split import Part

from .baselines import baseline_summaries
from .data import SummarizeData
from .decoder import GeneratedTexts
from .ensemble import SummarizerEnsemble, open_model
from .failures import COPIED, CUT, EMPTY, LONG, failures
from .params import EvaluationConfig, SummarizeConfig
from .report_items import PartScores, exhibits, row_metrics
from .rouge import METRICS, ROUGE_SUM, named, rouge

logger = logging.getLogger(__name__)

EVALUATED: tuple[Part, ...] = ("valid", "test")
MANY = 0.1
"""Share of summaries that run on, or are copied, above which the report has a note."""
UNITS = {
    "words": "words (between spaces and marks, in any script)",
    "characters": "characters (without spaces)",
    "morphemes": "Korean morphemes (Kiwi)",
}
RULES = {
    "max": "the one that scores best, for each of ROUGE-1, 2 and L alone",
    "mean": "the mean",
}
DEFINITIONS = {
    "rouge1": "F1 of the units that summary and reference share",
    "rouge2": "F1 of the pairs of neighbouring units that they share",
    "rougeL": "F1 of their longest common subsequence",
    ROUGE_SUM: "the sum of the three, from 0 to 3",
    "mean_words": "words between spaces in a summary",
    "empty_share": "share of summaries without a word",
    "cut_share": "share of summaries that had not ended at max_new_tokens",
    "long_share": "share of summaries over twice as long as their longest reference",
    "copied_share": "share of summaries of which 80 % of all runs of four words stand in the "
    "dialogue",
    "seconds_per_row": "encoding and decoding, median over batches; of an ensemble, the sum of its "
    "members. Not the decoding_seconds_per_row of tuning, which leave the encoder out",
}


def evaluate(
    checkpoint: Path, data: SummarizeData, *, parts: Collection[str] | None = None
) -> Report:
    """Evaluate the best weights of a checkpoint or an ensemble on valid and test; JSON-ready."""
    loaded = open_model(checkpoint)
    loaded.require_assets(data.assets_hash, what=str(data.path))
    loaded.warn_of_other_split(data, rows="dialogues")
    exist = [part for part in EVALUATED if data.num_rows(part)]
    wanted: list[Part] = wanted_parts(exist, parts)  # type: ignore[assignment]
    scored = score_parts(loaded, data, wanted)
    who = loaded.kind
    found = {part: _findings(one, who=who) for part, one in scored.items()}
    shown = list(scored.values())[-1:]
    rows = [row_metrics(one.part, one.dialogues, one.scores) for one in scored.values()]
    lines, items = compare_with_others(rows, who=who, seed=loaded.config.seed)
    return {
        HEADLINE: [
            *(line for one in found.values() for line in (one["verdict"], *one["notes"])),
            *lines,
        ],
        **loaded.identity(),
        "data_hash": data.content_hash,
        "protocol": _protocol(loaded.config),
        "definitions": DEFINITIONS,
        **loaded.configuration(),
        "parts": found,
        EXHIBITS: dump_report_items(
            {**exhibits(shown[0], loaded.config, who=who), **items} if shown else {}
        ),
    }


def score_parts(
    loaded: SummarizerEnsemble, data: SummarizeData, parts: Sequence[Part]
) -> dict[Part, PartScores]:
    """Summarise all rows of some parts, and score them beside the baselines."""
    for part in parts:
        logger.info("%s: %d dialogues to summarise", part, data.num_rows(part))
    settings = loaded.config.evaluation
    written = loaded.summarise_each(
        [data.dialogues(part) for part in parts], batch_size=settings.batch_size
    )
    return {
        part: _scored(data, part, own, settings) for part, own in zip(parts, written, strict=True)
    }


def _scored(
    data: SummarizeData, part: Part, written: GeneratedTexts, settings: EvaluationConfig
) -> PartScores:
    dialogues, references = data.dialogues(part), data.references(part)
    summaries = {OURS: written.texts, **baseline_summaries(dialogues)}
    scores = {
        name: rouge(texts, references, tokenizer=settings.tokenizer, combine=settings.references)
        for name, texts in summaries.items()
    }
    failed = failures(written, dialogues, references)
    return PartScores(
        part, data.ids(part), dialogues, references, written, summaries, scores, failed
    )


def _findings(scored: PartScores, *, who: str) -> Report:
    """Return the metrics, the model first, and notes on its summaries."""
    means = {name: named(scores) for name, scores in scored.scores.items()}
    group = {metric: {name: own[metric] for name, own in means.items()} for metric in METRICS}
    verdict = compare_with_baselines(group[ROUGE_SUM], f"{scored.part} {ROUGE_SUM}", who=who)
    shares = {kind: float(failed.mean()) for kind, failed in scored.failures.items()}
    notes = _notes(scored.part, shares)
    for note in notes:
        logger.warning("%s", note)
    lengths = {name: _mean_words(texts) for name, texts in scored.summaries.items()}
    return {
        "rows": len(scored.ids),
        "verdict": verdict,
        "notes": notes,
        "rouge": group,
        "lengths": {"mean_words": lengths},
        "mean_words_of_references": _mean_words([t for own in scored.references for t in own]),
        "references_per_row": float(np.mean([len(own) for own in scored.references])),
        **{f"{kind}_share": share for kind, share in shares.items()},
        "seconds_per_row": scored.written.seconds_per_row,
    }


def _notes(part: str, shares: Mapping[str, float]) -> list[str]:
    found = []
    if shares[EMPTY]:
        found.append(
            f"{part}: {shares[EMPTY]:.1%} of the summaries are empty; generation.min_new_tokens "
            "above 0 keeps a model from ending at once"
        )
    if shares[CUT] > MANY:
        found.append(
            f"{part}: {shares[CUT]:.1%} of the summaries had not ended at "
            "generation.max_new_tokens; raise it, train longer, or give generation.stop_strings"
        )
    if shares[LONG] > MANY:
        found.append(
            f"{part}: {shares[LONG]:.1%} of the summaries are over twice as long as their longest "
            "reference; train longer, or lower generation.max_new_tokens or length_penalty"
        )
    if shares[COPIED] > MANY:
        found.append(
            f"{part}: {shares[COPIED]:.1%} of the summaries are copied from the dialogue, as the "
            "baselines are; train longer, or with a higher rate"
        )
    return found


def _mean_words(texts: list[str]) -> float:
    return float(np.mean([len(text.split()) for text in texts])) if texts else 0.0


def describe_rouge(settings: EvaluationConfig) -> str:
    """Say what ROUGE counts."""
    units, rule = UNITS[settings.tokenizer], RULES[settings.references]
    return (
        f"ROUGE F1 as fractions, on {units}; of several references {rule}; mean over rows. "
        "Placeholders like #Person1# are one unit, case is ignored, marks are left out, nothing is "
        "stemmed. Numbers on other units are not comparable."
    )


def _protocol(config: SummarizeConfig) -> str:
    """Return a description of how the numbers were computed."""
    return (
        f"{describe_rouge(config.evaluation)} All rows are summarised under the "
        "configuration's section generation. The baselines lead_3 (the first three utterances) and "
        "longest_sentence (the longest one) are scored by the same code."
    )
