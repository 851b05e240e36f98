"""Quality of `summarize` on DialogSum, beside two floors: a small BART trained from scratch, or a
pretrained language model with LoRA by the number of dialogues that it is trained on.

Protocol: the official parts; test has three references, of which the best counts; it is looked at
once, with the weights of the best epoch. The BART's tokeniser is trained on the fit part alone.

    python benchmarks/quality_dialogsum.py --minutes 50 --set training.lr=3e-4
    python benchmarks/quality_dialogsum.py --model models/gemma --dialogues 0 500 3000 --keep runs

Also runs on a GPU machine (--device cuda). Writes the curve and the metrics to benchmarks/reports/.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import _dialogsum_lora
from _dialogsum import dialogsum_split, make_bart
from _harness import Report
from seqtune.core.config import fingerprint
from seqtune.core.resolve import Layer, Resolved, resolve, unflatten
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.training import FitResult, fit, resolve_auto

RECIPE: dict[str, Any] = {
    "split.augmentation": "none",
    "preprocess.max_input_length": 512,
    "preprocess.max_target_length": 96,
    "model.from_scratch": True,
    "model.label_smoothing": 0.1,
    "training.batch_size": 32,
    "training.accumulate_grad_batches": 1,
    "training.lr": 5e-4,
    "training.warmup_ratio": 0.05,
    "training.epochs": 40,
    "training.early_stopping.patience": 0,
    "evaluation.batch_size": 32,
    "evaluation.max_rows": 200,
    "evaluation.max_new_tokens": 64,
    "generation.beams": 4,
    "generation.max_new_tokens": 80,
    "generation.no_repeat_ngram_size": 3,
}


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    own = _dialogsum_lora.RECIPE if arguments.model else RECIPE
    values = own | dict(pair.split("=", 1) for pair in arguments.set)
    values["training.accelerator"] = "cuda" if arguments.device == "cuda" else "cpu"
    if arguments.model:
        _dialogsum_lora.run_curve(
            values | {"model.name": str(arguments.model)},
            arguments.dialogues,
            test_rows=arguments.test_rows,
            keep=arguments.keep,
            name=arguments.name,
        )
        return
    values["training.max_minutes"] = arguments.minutes
    sizes = {name: getattr(arguments, name) for name in ("hidden", "layers", "vocabulary")}
    with tempfile.TemporaryDirectory() as folder:
        keep = arguments.keep or Path(folder)
        data = dialogsum_split(Path(folder), resolved_by(values).config)
        values["model.name"] = str(make_bart(keep / "bart", data, **sizes))
        resolved = TASK.resolve_auto(resolve_auto(resolved_by(values)), data)  # type: ignore[misc]
        run = fingerprint(resolved.config, data_hash=data.content_hash)
        start = time.perf_counter()
        result = fit(TASK, resolved.config, data, directory=keep / f"train-{run}", fingerprint=run)
        minutes = (time.perf_counter() - start) / 60
        metrics = TASK.evaluate(result.checkpoint, data, parts=arguments.parts)
    write_report(arguments.name, values | sizes, result, metrics, minutes=minutes)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=50.0, help="wall-clock limit of training")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--hidden", type=int, default=256, help="width of the model")
    parser.add_argument("--layers", type=int, default=3, help="depth of encoder and decoder each")
    parser.add_argument("--vocabulary", type=int, default=8000, help="pieces of the tokeniser")
    parser.add_argument("--set", nargs="*", default=[], help="key=value over the recipe")
    parser.add_argument("--parts", nargs="*", default=["valid", "test"], help="what is scored")
    parser.add_argument("--keep", type=Path, help="keep the run here, to resume a killed one")
    parser.add_argument("--model", type=Path, help="a pretrained causal model, with --keep")
    parser.add_argument("--dialogues", nargs="*", type=int, default=[0, 500, 3000])
    parser.add_argument("--test-rows", type=int, default=500, help="rows of test for --model")
    parser.add_argument("--name", default="quality_dialogsum", help="theme of the report")
    found = parser.parse_args()
    if found.model and not found.keep:
        parser.error("--model needs --keep, a folder for its runs")
    return found


def resolved_by(values: dict[str, Any]) -> Resolved[SummarizeConfig]:
    return resolve(SummarizeConfig, Layer("recipe", unflatten(values)), root="summarize")


def write_report(
    name: str,
    values: dict[str, Any],
    result: FitResult,
    metrics: dict[str, Any],
    *,
    minutes: float,
) -> None:
    """The curve and the metrics with their floors; no texts, which may not be passed on."""
    rows = result.history
    report = Report(name, title="DialogSum: a small BART from scratch beside its floors")
    report.text(
        f"Training took {minutes:.1f} minutes for {len(rows)} epochs ({result.stopped}); "
        f"best epoch on valid: {result.best_epoch}. Scored once, with those weights: "
        f"{', '.join(metrics['parts']) or 'nothing'}."
    )
    said = {key: value for key, value in values.items() if key != "model.name"}
    report.text(f"```json\n{json.dumps(said, indent=2)}\n```")
    report.table(
        ["epoch", "train loss", "valid loss", "valid ROUGE sum (sample, greedy)", "seconds"],
        [
            [
                f"{row['epoch']:.0f}",
                f"{row['train_loss']:.4f}",
                f"{row['val_loss']:.4f}",
                f"{row['val_rouge_sum']:.4f}",
                f"{row['seconds']:.1f}",
            ]
            for row in rows
        ],
    )
    add_metrics(report, metrics)
    report.write()


def add_metrics(report: Report, metrics: dict[str, Any]) -> None:
    report.text(metrics["protocol"])
    for part, found in metrics["parts"].items():
        notes = "\n\n".join([found["verdict"], *found["notes"]])
        report.text(f"## {part}: {found['rows']} rows\n\n{notes}")
        names = ["model", "lead_3", "longest_sentence"]
        groups = found["rouge"] | found["lengths"]
        report.table(
            ["metric", *names],
            [[metric, *(f"{own[name]:.4f}" for name in names)] for metric, own in groups.items()],
        )


if __name__ == "__main__":
    main()
