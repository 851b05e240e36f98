"""Quality of `classify` on UnSmile: a small encoder trained from scratch, beside the TF-IDF floor.

Protocol: the official valid file is test as a whole, and is looked at once; valid is cut from the
official training file. The ten labels that the authors report (`개인지칭` is left out). Texts are
ingested and split by the project's own stages. The tokeniser is trained on the fit part alone.

    python benchmarks/quality_unsmile.py --minutes 30 --set training.lr=3e-4

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

from _harness import Report, shared_data
from seqtune.core.config import fingerprint
from seqtune.core.resolve import Layer, Resolved, resolve, unflatten
from seqtune.tasks.classify import TASK
from seqtune.tasks.classify.data import ClassifyData
from seqtune.tasks.classify.params import ClassifyConfig
from seqtune.training import FitResult, fit, resolve_auto

logger = logging.getLogger(__name__)

FILES = {"texts": "unsmile_train_v1.0.tsv", "test_texts": "unsmile_valid_v1.0.tsv"}
RECIPE: dict[str, Any] = {
    "ingest.columns.text": "문장",
    "ingest.columns.ignore": ["개인지칭"],
    "ingest.on_empty": "drop",  # two rows of asterisks and brackets, and one of the test
    "split.test_share": 0.0,
    "split.augmentation": "none",
    "model.max_length": 96,
    "model.dropout_rate": 0.3,
    "model.pooling": "mean",
    "model.from_scratch": True,
    "model.gradient_checkpointing": False,
    "training.batch_size": 32,
    "training.accumulate_grad_batches": 1,
    "training.lr": 5e-4,
    "training.weight_decay": 0.05,
    "training.epochs": 30,
    "training.early_stopping.patience": 0,
    "training.monitor": "val_macro_f1_tuned",
}


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    values = RECIPE | dict(pair.split("=", 1) for pair in arguments.set)
    values["training.max_minutes"] = arguments.minutes
    values["training.accelerator"] = "cuda" if arguments.device == "cuda" else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        keep = arguments.keep or Path(folder)
        data = unsmile_split(Path(folder), resolved_by(values).config)
        values["model.name"] = str(make_encoder(keep / "encoder", data, arguments))
        resolved = TASK.resolve_auto(resolve_auto(resolved_by(values)), data)  # type: ignore[misc]
        run = fingerprint(resolved.config, data_hash=data.content_hash)
        start = time.perf_counter()
        result = fit(TASK, resolved.config, data, directory=keep / f"train-{run}", fingerprint=run)
        minutes = (time.perf_counter() - start) / 60
        metrics = TASK.evaluate(result.checkpoint, data)
    sizes = ("hidden", "layers", "vocabulary", "dropout")
    values |= {name: getattr(arguments, name) for name in sizes}
    write_report(arguments.name, values, result, metrics, minutes=minutes)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="wall-clock limit of training")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--hidden", type=int, default=192, help="width of the encoder")
    parser.add_argument("--layers", type=int, default=3, help="depth of the encoder")
    parser.add_argument("--vocabulary", type=int, default=6000, help="pieces of the tokeniser")
    parser.add_argument("--dropout", type=float, default=0.3, help="inside the encoder")
    parser.add_argument("--set", nargs="*", default=[], help="key=value over the recipe")
    parser.add_argument("--keep", type=Path, help="keep the run here, to resume a killed one")
    parser.add_argument("--name", default="quality_unsmile", help="theme of the report")
    return parser.parse_args()


def resolved_by(values: dict[str, Any]) -> Resolved[ClassifyConfig]:
    return resolve(ClassifyConfig, Layer("recipe", unflatten(values)), root="classify")


def unsmile_split(folder: Path, config: ClassifyConfig) -> ClassifyData:
    """Through the stages ingest and split, as `kedro run` would."""
    sources = {role: (shared_data() / "classify" / name,) for role, name in FILES.items()}
    missing = [file for (file,) in sources.values() if not file.is_file()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} is missing; set SEQTUNE_DATA to the data sets")
    for name in ("texts", "split"):
        (folder / name).mkdir()
    report = TASK.ingest(sources, config, out=folder / "texts")
    logger.info("%s", "; ".join(report["headline"]))
    report = TASK.split(folder / "texts", config, out=folder / "split")
    logger.info("%s", "; ".join(report["headline"]))
    return ClassifyData.open(folder / "split")


def make_encoder(folder: Path, data: ClassifyData, arguments: argparse.Namespace) -> Path:
    """A BERT with random weights, and WordPiece learnt from the texts of the fit part."""
    import torch
    from transformers import BertConfig, BertModel
    from transformers.utils.logging import disable_progress_bar

    if folder.is_dir():  # kept from a run that was killed
        return folder
    disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    tokenizer = make_tokenizer(data.texts("train"), size=arguments.vocabulary)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=arguments.hidden,
        num_hidden_layers=arguments.layers,
        num_attention_heads=max(1, arguments.hidden // 48),
        intermediate_size=4 * arguments.hidden,
        max_position_embeddings=512,
        hidden_dropout_prob=arguments.dropout,
        attention_probs_dropout_prob=arguments.dropout,
        pad_token_id=tokenizer.pad_token_id,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(texts: list[str], *, size: int) -> Any:
    """WordPiece that also splits what Korean words begin with."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    tokenizer = Tokenizer(models.WordPiece(unk_token=names["unk"]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=list(names.values()), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    tokens = {f"{role}_token": name for role, name in names.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **tokens)  # type: ignore[no-untyped-call]


def write_report(
    name: str,
    values: dict[str, Any],
    result: FitResult,
    metrics: dict[str, Any],
    *,
    minutes: float,
) -> None:
    """A table of the curve, and the metrics with their floors."""
    rows = result.history
    report = Report(name, title="UnSmile: a small encoder from scratch beside the TF-IDF floor")
    report.text(
        f"Training took {minutes:.1f} minutes for {len(rows)} epochs ({result.stopped}); "
        f"best epoch on valid: {result.best_epoch}. Test was looked at once, with those weights."
    )
    recipe = {key: value for key, value in values.items() if key != "model.name"}
    report.text(f"```json\n{json.dumps(recipe, indent=2, ensure_ascii=False)}\n```")
    columns = ["train_loss", "val_loss", "val_macro_f1", "val_macro_f1_tuned", "val_lrap"]
    report.table(
        ["epoch", *columns, "seconds"],
        [
            [f"{row['epoch']:.0f}", *(f"{row[c]:.4f}" for c in columns), f"{row['seconds']:.1f}"]
            for row in rows
        ],
    )
    add_metrics(report, metrics)
    report.write()


def add_metrics(report: Report, metrics: dict[str, Any]) -> None:
    """Each part with its groups of metrics, every one beside the floors."""
    report.text(metrics["protocol"])
    for part, found in metrics["parts"].items():
        report.text(f"## {part}: {found['rows']} texts\n\n{found['verdict']}")
        for group in ("tuned", "at_half", "ranking", "f1_by_label"):
            columns = list(next(iter(found[group].values())))
            report.table(
                [group, *columns],
                [
                    [metric, *(f"{row[name]:.4f}" for name in columns)]
                    for metric, row in found[group].items()
                ],
            )


if __name__ == "__main__":
    main()
