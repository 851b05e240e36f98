"""Splits of dialogues and tiny models, made by hand: folders as `split` and a hub leave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from seqtune.tasks.summarize.data import COLUMNS, SummarizeData
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.text.split import write_split as write_text_split
from tiny_models import MAKERS

Row = tuple[str, Sequence[str]]
"""A dialogue and its summaries."""
WORDS = ("tea", "milk", "bread", "rice", "soup", "cake", "fish", "corn", "plum", "salt")
BASES = ("kobart", "llama", "qwen3")
"""Models that adapters are trained on: tied to the output or not, with an encoder or without."""
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("dialogue", pa.string()),
        ("summaries", pa.list_(pa.string())),
        ("topic", pa.string()),
        ("augmented", pa.string()),
    ]
)


def rows(count: int, *, start: int = 0) -> list[Row]:
    """Small talk about food: what is bought follows from the dialogue."""
    return [_row(number) for number in range(start, start + count)]


def _row(number: int) -> Row:
    first, second = WORDS[number % 10], WORDS[(number * 3 + number // 10) % 10]
    more = "#Person2#: Anything else?\n" * (number % 3)
    dialogue = (
        f"#Person1#: Hello, I want {first} please.\n{more}#Person2#: Take {second} as well.\n"
        "#Person1#: Fine."
    )
    return dialogue, [f"#Person1# buys {first} and {second}."]


def write_split(
    out: Path,
    train: Sequence[Row],
    valid: Sequence[Row] = (),
    test: Sequence[Row] = (),
    *,
    made: Mapping[str, Sequence[Row]] | None = None,
) -> SummarizeData:
    """A split folder of these rows, and of rows of train that were made up, by kind."""
    made = made or {}
    kinds = [kind for kind, own in {"": train, **made}.items() for _ in own]
    train = [*train, *(row for own in made.values() for row in own)]
    out.mkdir(parents=True)
    parts, begin = {}, 0
    for name, of_part in (("train", train), ("valid", valid), ("test", test)):
        parts[name] = _table(of_part, begin, kinds if name == "train" else None)
        begin += len(of_part)
    write_text_split(
        out,
        parts,  # type: ignore[arg-type]
        task="summarize",
        assets_hash="0" * 64,
        facts={"augmentation": [{"kind": kind, "rows": len(own)} for kind, own in made.items()]},
        made_with={},
    )
    return SummarizeData.open(out)


def _table(of_part: Sequence[Row], begin: int, kinds: list[str] | None) -> pa.Table:
    numbers = list(range(begin, begin + len(of_part)))
    columns: dict[str, list[Any]] = {
        "row": numbers,
        "id": [f"row {number}" for number in numbers],
        "dialogue": [dialogue for dialogue, _ in of_part],
        "summaries": [list(summaries) for _, summaries in of_part],
        "topic": [None] * len(of_part),
        "augmented": kinds or [""] * len(of_part),
    }
    return pa.table({name: columns[name] for name in COLUMNS}, schema=SCHEMA)


def make_model(folder: Path, name: str, texts: Sequence[Row], **options: Any) -> Path:
    """A tiny model of a real class, whose tokeniser knows these rows but no #Person1#."""
    plain = [
        text.replace("#Person", "one ").replace("#", "")
        for dialogue, summaries in texts
        for text in (dialogue, *summaries)
    ]
    return MAKERS[name](folder, plain, **options)


def config_of(model: Path, /, **sections: Any) -> SummarizeConfig:
    """A configuration on the CPU in fp32, small enough to train in a test; `sections` over it."""
    values: dict[str, dict[str, Any]] = {
        "preprocess": {"max_input_length": 256, "max_target_length": 32},
        "model": {"name": str(model)},
        "training": {
            "epochs": 1,
            "batch_size": 4,
            "accumulate_grad_batches": 1,
            "precision": "fp32",
            "accelerator": "cpu",
            "num_threads": 1,
            "lr": 1e-3,
            "warmup_ratio": 0.0,
            "scheduler": "none",
        },
        "evaluation": {"max_rows": 4, "max_new_tokens": 8, "batch_size": 4},
    }
    for name, given in sections.items():
        values[name] = {**values.get(name, {}), **given}
    return SummarizeConfig.model_validate(values)
