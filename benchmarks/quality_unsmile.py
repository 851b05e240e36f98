"""Quality of `classify` on UnSmile, beside the TF-IDF floor: a line of JSON for each training.

    python benchmarks/pretrained.py e5 --to models/e5
    python benchmarks/quality_unsmile.py e5 --model models/e5 --keep FOLDER
    python benchmarks/quality_unsmile.py fast --model models/e5 --keep FOLDER --test

Protocol: the official valid file is test as a whole, and is looked at once, with --test, for a
final configuration; valid is cut from the official training file. The ten labels that the authors
report (`개인지칭` is left out). The first argument is a preset of classify, or `scratch`: a small
encoder whose tokeniser is trained on the fit part. An unfinished training goes on in --keep.
Lines go to benchmarks/reports/data/classify_runs.jsonl; write_results.py makes a table of them.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from _harness import REPORTS, ROOT, append_line, provenance
from _unsmile import READ, make_encoder, unsmile_split
from seqtune.core.config import fingerprint
from seqtune.core.resolve import Resolved, flatten, unflatten
from seqtune.tasks.classify import TASK
from seqtune.tasks.classify.data import ClassifyData
from seqtune.tasks.classify.params import ClassifyConfig
from seqtune.training import fit, resolve_auto

OUT = REPORTS / "data" / "classify_runs.jsonl"
SCRATCH = "scratch"
ENCODER: dict[str, Any] = {"hidden": 192, "layers": 2, "vocabulary": 6000, "dropout": 0.3}
FROM_SCRATCH: dict[str, Any] = {
    "model.max_length": 96,
    "model.dropout_rate": 0.4,
    "model.pooling": "mean",
    "model.from_scratch": True,
    "model.gradient_checkpointing": False,
    "training.batch_size": 32,
    "training.accumulate_grad_batches": 1,
    "training.lr": 4e-4,
    "training.weight_decay": 0.05,
    "training.epochs": 6,
    "training.early_stopping.patience": 0,
    "training.monitor": "val_macro_f1_tuned",
}


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given = {
        key: yaml.safe_load(value) for key, _, value in (p.partition("=") for p in arguments.set)
    }
    is_scratch = arguments.preset == SCRATCH
    values = READ | (FROM_SCRATCH if is_scratch else {}) | given
    values |= {"seed": arguments.seed, "training.accelerator": arguments.device}
    preset = "none" if is_scratch else arguments.preset
    data = unsmile_split(arguments.keep / "work", configuration(values, preset).config)
    if is_scratch:
        values["model.name"] = str(make_encoder(arguments.keep / "encoder", data, **ENCODER))
    elif arguments.model:
        values["model.name"] = str(arguments.model.absolute())
    config = settled(configuration(values, preset), data)
    run = fingerprint(config, data_hash=data.content_hash)
    measured = train(config, data, arguments.keep / f"train-{run}", opens_test=arguments.test)
    row = {"run": run, "name": arguments.preset, "data": "unsmile", "set": given}
    append_line(arguments.out, row | {"seed": arguments.seed} | measured)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("preset", help=f"a preset of classify, or {SCRATCH}")
    parser.add_argument("--model", type=Path, help="folder of a model, in place of the preset's")
    parser.add_argument("--keep", type=Path, required=True, help="folder of unfinished trainings")
    parser.add_argument("--test", action="store_true", help="look at test, with the best weights")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--set", nargs="*", default=[], help="key=value over the preset")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def configuration(values: Mapping[str, Any], preset: str) -> Resolved[Any]:
    """Resolve as `kedro run` does: conf/base, the preset, these values."""
    file = ROOT / "conf" / "base" / "parameters_classify.yml"
    base = yaml.safe_load(file.read_text(encoding="utf-8"))["classify"]
    nested = unflatten({**dict(flatten(base)), **values, "preset": preset})
    return TASK.parse_parameters(values=nested, runtime={}, origins={}).resolve()


def settled(resolved: Resolved[Any], data: ClassifyData) -> ClassifyConfig:
    """Settle what depends on the data, the model and the machine."""
    assert TASK.resolve_auto is not None
    config = TASK.resolve_auto(resolve_auto(resolved), data).config
    assert isinstance(config, ClassifyConfig)
    return config


def train(
    config: ClassifyConfig, data: ClassifyData, place: Path, *, opens_test: bool
) -> dict[str, Any]:
    """Train or go on, and score valid; test only if it is to be opened."""
    start = time.perf_counter()
    run = place.name.removeprefix("train-")
    result = fit(TASK, config, data, directory=place, fingerprint=run, progress=False)
    minutes = (time.perf_counter() - start) / 60
    parts = ["valid", "test"] if opens_test else ["valid"]
    found = TASK.evaluate(result.checkpoint, data, parts=parts)["parts"]
    return {
        "valid": macro_f1(found["valid"]),
        "test": macro_f1(found["test"]) if opens_test else None,
        "best_epoch": result.best_epoch,
        "curve": [round(row[config.training.monitor], 5) for row in result.history],
        "seconds": [round(row["seconds"], 1) for row in result.history],
        "minutes": round(minutes, 1),
        **provenance(),
    }


def macro_f1(part: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Macro F1 of the model and the floors: with thresholds, and at 0.5."""
    return {
        group: {of: round(value, 5) for of, value in part[group]["macro_f1"].items()}
        for group in ("tuned", "at_half")
    }


if __name__ == "__main__":
    main()
