"""A pretrained causal model with LoRA on DialogSum, by the number of dialogues it is trained on.

Each number is a training of its own, of one epoch with its own schedule; 0 is the model as it came
(adapters begin without effect, and its rate is next to nothing). Smaller samples are part of larger
ones. A line is kept for each, so a killed run goes on where it was.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from _dialogsum import dialogsum_split
from _harness import REPORTS, Report, append_line, peak_rss_mib, provenance, read_lines
from _projects import preset
from seqtune.core.config import fingerprint
from seqtune.core.resolve import Layer, resolve, unflatten
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.batches import TrainBatch, WriteBatch
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.module import SummarizeModule, build_module
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.tasks.summarize.rouge import METRICS
from seqtune.training import fit, resolve_auto

RECIPE: dict[str, Any] = {
    **preset("summarize", "gemma"),
    "split.augmentation": "none",
    "training.early_stopping.patience": 0,
    "evaluation.batch_size": 32,
    "evaluation.max_rows": 50,
    "evaluation.max_new_tokens": 80,
}
OUT = REPORTS / "data" / "summarize_runs.jsonl"
"""A line for each training, of which write_results.py makes a table."""
VALID_ROWS = 100
FAILURES = ("empty_share", "cut_share", "long_share", "copied_share")
SECONDS = ("training", "valid loss", "decoding", "decoding test")
UNTRAINED = {"training.lr": 1e-12}
DECODING: dict[str, dict[str, Any]] = {
    "greedy": {},
    "no 3 words twice": {"no_repeat_ngram_size": 3},
    "2 beams": {"beams": 2},
    "4 beams": {"beams": 4},
    "4 beams, length penalty 0.6": {"beams": 4, "length_penalty": 0.6},
    "4 beams, length penalty 1.6": {"beams": 4, "length_penalty": 1.6},
    "4 beams, no 3 words twice": {"beams": 4, "no_repeat_ngram_size": 3},
    "at least 15 tokens": {"min_new_tokens": 15},
}
"""What is tried on the last checkpoint: every entry decodes the sample of valid once."""


class TimedModule(SummarizeModule):
    """Adds up processor seconds of the loss and of the decoding of validations."""

    seconds: dict[str, float]

    def validation_step(self, batch: TrainBatch | WriteBatch, *place: int) -> None:
        what = "decoding" if isinstance(batch, WriteBatch) else "valid loss"
        start = time.process_time()
        super().validation_step(batch, *place)
        self.seconds[what] = self.seconds.get(what, 0.0) + time.process_time() - start


def run_curve(
    values: Mapping[str, Any], dialogues: list[int], *, test_rows: int, keep: Path, name: str
) -> None:
    """Train on each number of dialogues and score test; then search decoding on the last model.

    The report is written anew after each result.
    """
    report = Report(name, title="DialogSum: a pretrained language model with LoRA, by its training")
    points, tried = keep / "points.jsonl", keep / "decoding.jsonl"
    for number in dialogues:
        if number not in [point["dialogues"] for point in read_lines(points)]:
            found = _point(values, number, test_rows=test_rows, keep=keep)
            append_line(points, found)
            append_line(OUT, _row(values, found, test_rows=test_rows))
        _write(report, values, read_lines(points), read_lines(tried))
    last = max(read_lines(points), key=lambda point: point["dialogues"])
    for found in _search_decoding(values, last, start=len(read_lines(tried))):
        append_line(tried, found)
        _write(report, values, read_lines(points), read_lines(tried))


def _point(
    values: Mapping[str, Any], dialogues: int, *, test_rows: int, keep: Path
) -> dict[str, Any]:
    """Train on some dialogues, and score the test."""
    values = {**values, **(UNTRAINED if not dialogues else {})}
    with tempfile.TemporaryDirectory() as folder:
        data, config = _prepared(values, dialogues, test_rows=test_rows, folder=Path(folder))
        run = fingerprint(config, data_hash=data.content_hash)
        seconds: dict[str, float] = {}
        start = time.process_time()
        directory = keep / f"train-{dialogues}-{run}"
        result = fit(_timed(seconds), config, data, directory=directory, fingerprint=run)
        seconds["training"] = time.process_time() - start - sum(seconds.values())
        start = time.process_time()
        metrics = TASK.evaluate(result.checkpoint, data, parts=("test",))
        seconds["decoding test"] = time.process_time() - start
    return {
        "dialogues": dialogues,
        "checkpoint": str(result.checkpoint),
        "test": metrics["parts"]["test"],
        "protocol": metrics["protocol"],
        "history": result.history,
        "seconds": seconds,
        "resumed_from": result.resumed_from,
        "peak_rss_mib": peak_rss_mib(),
    }


def _row(values: Mapping[str, Any], point: Mapping[str, Any], *, test_rows: int) -> dict[str, Any]:
    """What is stored of a training."""
    return {
        "name": Path(values["model.name"]).name,
        "data": "dialogsum",
        "dialogues": point["dialogues"],
        "test_rows": test_rows,
        "test": point["test"],
        "minutes": point["seconds"]["training"] / 60,
        **provenance(),
    }


def _search_decoding(
    values: Mapping[str, Any], point: Mapping[str, Any], *, start: int
) -> Iterator[dict[str, Any]]:
    """Yield ROUGE on the sample of valid under each of the decoding settings, from `start` on."""
    with tempfile.TemporaryDirectory() as folder:
        data, config = _prepared(values, point["dialogues"], test_rows=1, folder=Path(folder))
        for name, settings in list(DECODING.items())[start:]:
            generation = config.generation.model_copy(update=settings)
            under = config.model_copy(update={"generation": generation})
            found = TASK.measure(Path(point["checkpoint"]), data, under)  # type: ignore[misc]
            yield {"decoding": name, "dialogues": point["dialogues"], **found}


def _prepared(
    values: Mapping[str, Any], dialogues: int, *, test_rows: int, folder: Path
) -> tuple[SummarizeData, SummarizeConfig]:
    resolved = resolve(SummarizeConfig, Layer("recipe", unflatten(values)), root="summarize")
    most = {
        "dialogues": max(dialogues, 4),
        "valid_dialogues": VALID_ROWS,
        "test_dialogues": test_rows,
    }
    data = dialogsum_split(folder, resolved.config, most=most)
    config: SummarizeConfig = TASK.resolve_auto(resolve_auto(resolved), data).config  # type: ignore[misc]
    return data, config


def _timed(seconds: dict[str, float]) -> Any:
    """The task, with a module that adds up what its validations take."""

    def build(config: SummarizeConfig, data: SummarizeData) -> TimedModule:
        own = build_module(config, data)
        module = TimedModule(config, data, model=own.model, tokenizer=own.tokenizer, kind=own.kind)
        module.seconds = seconds
        return module

    return replace(TASK, build_module=build)


def _write(
    report: Report,
    values: Mapping[str, Any],
    points: list[dict[str, Any]],
    tried: list[dict[str, Any]],
) -> None:
    """The curve, where the time went, and the decoding settings that were tried; no texts, which
    may not be passed on."""
    page = replace(report, parts=[])
    points = sorted(points, key=lambda point: point["dialogues"])
    said = {key: value for key, value in values.items() if key != "model.name"}
    page.text(f"```json\n{json.dumps(said, indent=2)}\n```")
    page.text(points[-1]["protocol"])
    page.table(*_quality(points))
    page.text("Summaries that fail, as shares of test:")
    page.table(
        ["dialogues", *FAILURES],
        [[p["dialogues"], *(f"{p['test'][name]:.3f}" for name in FAILURES)] for p in points],
    )
    page.text("Processor seconds, and the peak of resident memory:")
    page.table(
        ["dialogues", *SECONDS, "decoding / training", "peak MiB"],
        [
            [
                point["dialogues"],
                *(f"{point['seconds'].get(name, 0.0):.0f}" for name in SECONDS),
                f"{point['seconds']['decoding'] / point['seconds']['training']:.0%}",
                f"{point['peak_rss_mib']:.0f}",
            ]
            for point in points
        ],
    )
    if tried:
        page.text(f"Decoding after {tried[-1]['dialogues']} dialogues, on the sample of valid:")
        columns = ["decoded_rouge_sum", "decoding_seconds_per_row"]
        page.table(
            ["decoding", *columns],
            [[one["decoding"], *(f"{one[name]:.4f}" for name in columns)] for one in tried],
        )
    page.write()


def _quality(points: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """ROUGE and lengths on test, of the model and the floors."""
    rows = [
        [
            str(point["dialogues"]),
            *(f"{point['history'][-1][name]:.4f}" for name in ("train_loss", "val_loss")),
            *(f"{point['test']['rouge'][metric]['model']:.4f}" for metric in METRICS),
            f"{point['test']['lengths']['mean_words']['model']:.1f}",
        ]
        for point in points
    ]
    test = points[-1]["test"]
    for floor in ("lead_3", "longest_sentence"):
        scores = [f"{test['rouge'][metric][floor]:.4f}" for metric in METRICS]
        rows.append([floor, "", "", *scores, f"{test['lengths']['mean_words'][floor]:.1f}"])
    words = f"{test['mean_words_of_references']:.1f}"
    rows.append(["references", "", "", *([""] * len(METRICS)), words])
    return ["dialogues", "train loss", "valid loss", *METRICS, "words"], rows
