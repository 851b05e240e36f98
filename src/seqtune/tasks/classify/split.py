"""Ingested texts -> the split folder that data.py describes.

An official test stays whole; the rest is stratified over all labels. Texts that are equal but for
spaces, case and marks share a part. Rare labels are augmented afterwards, in train alone.
Shapes: N texts, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seqtune.core.config import canonical_json
from seqtune.core.errors import DataError
from seqtune.core.resolve import require_made_with
from seqtune.core.seeds import derive_seed
from seqtune.core.task import Report
from seqtune.text.ingested import Ingested, open_ingested
from seqtune.text.rows import groups_of, part_sizes, plain, require_parts
from seqtune.text.split import Part, write_split

from .augment import copies_of, rare_rows
from .data import AUGMENTED, ID, LABELS, ROW, TEXT, Targets, label_lists
from .params import ClassifyConfig, SplitConfig
from .reading import POOL, TEST
from .stratify import stratify

_ORDER: tuple[Part, ...] = ("train", "valid", "test")


@dataclass(frozen=True)
class Texts:
    """Some rows of the ingested texts."""

    rows: npt.NDArray[np.int64]  # [N]
    ids: list[str]
    texts: list[str]
    targets: Targets  # [N, L]

    @classmethod
    def of(cls, table: pa.Table, num_labels: int) -> Texts:
        flat = table[LABELS].combine_chunks().flatten()
        return cls(
            rows=np.asarray(table[ROW], np.int64),
            ids=table[ID].to_pylist(),
            texts=table[TEXT].to_pylist(),
            targets=np.asarray(flat, np.int8).reshape(-1, num_labels),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, which: npt.NDArray[np.bool_]) -> Texts:
        """Those of them that are marked [N]."""
        places = np.flatnonzero(which).tolist()
        return Texts(
            self.rows[which],
            [self.ids[place] for place in places],
            [self.texts[place] for place in places],
            self.targets[which],
        )


def split(interactions: Path, config: ClassifyConfig, *, out: Path) -> Report:
    """Hold out what is to be predicted, and make more of what is rare in the rest."""
    source = open_ingested(interactions, task="classify")
    require_made_with(config, source.manifest.made_with, what=str(interactions))
    labels = tuple(source.manifest.facts["labels"])
    settings = config.split
    official = Texts.of(source.rows(TEST), len(labels))
    pool, leaked = _without_leaks(Texts.of(source.rows(POOL), len(labels)), official, settings)
    parts = _divide(pool, official, settings, seed=config.seed)
    positives = _positives(parts)
    _require_positives(positives, labels, parts, settings)
    fit = parts["train"]
    rare = _rare(fit, settings)
    tables = {part: _table(texts) for part, texts in parts.items()}
    tables["train"] = pa.concat_tables([tables["train"], _copies(fit.at(rare), config)])
    manifest = write_split(
        out,
        tables,
        task="classify",
        assets_hash=sha256(canonical_json(list(labels)).encode()).hexdigest(),
        facts={
            "labels": labels,
            "fit_rows": len(fit),
            "fit_positives": positives["train"].tolist(),
            "co_occurrence": (fit.targets.T.astype(np.int64) @ fit.targets).tolist(),
            "official_test": len(official) > 0,
            "seed": config.seed,
        },
        made_with={**source.manifest.made_with, "split": settings.model_dump(mode="json")},
    )
    return {
        "strategy": "official_test" if len(official) else "stratified",
        "rows": {part: len(texts) for part, texts in parts.items()},
        "labels": _by_label(labels, positives),
        "largest_difference": _largest_difference(parts),
        "augmented_rows": manifest.rows["train"] - len(fit),
        "leaked": leaked,
        **_said(source, settings, parts, manifest.rows["train"], leaked=leaked),
        "content_hash": manifest.content_hash,
        "test_hash": manifest.test_hash,
    }


def _without_leaks(pool: Texts, official: Texts, config: SplitConfig) -> tuple[Texts, int]:
    """What is in no official test, and how many texts were found in one."""
    tested = {plain(text) for text in official.texts}
    if not tested:
        return pool, 0
    leaks = np.asarray([plain(text) in tested for text in pool.texts], bool)
    if leaks.any() and config.leakage == "error":
        shown = ", ".join(map(repr, pool.at(leaks).ids[:5]))
        raise DataError(
            f"{leaks.sum()} of {len(pool)} texts to train on stand in the test file too, but for "
            f"spaces, case and marks (ids {shown}). Take them out, or set "
            "classify.split.leakage=drop"
        )
    return (pool.at(~leaks) if config.leakage == "drop" else pool), int(leaks.sum())


def _divide(pool: Texts, official: Texts, config: SplitConfig, *, seed: int) -> dict[Part, Texts]:
    """The rows of each part."""
    valid_share = 0.0 if config.use_full_data else config.valid_share
    test_share = 0.0 if len(official) else config.test_share
    shares = (valid_share, test_share)
    sizes = part_sizes(len(pool), shares, task="classify", texts="texts")
    found = stratify(
        pool.targets,
        sizes,
        groups=groups_of(pool.texts),
        at_least=config.min_positives,
        seed=derive_seed(seed, "split"),
    )
    parts = {part: pool.at(found == number) for number, part in enumerate(_ORDER)}
    require_parts(found, sizes, task="classify", texts="texts")
    return {**parts, "test": official} if len(official) else parts


def _positives(parts: Mapping[Part, Texts]) -> dict[Part, npt.NDArray[np.int64]]:
    return {part: texts.targets.sum(axis=0, dtype=np.int64) for part, texts in parts.items()}


def _require_positives(
    positives: Mapping[Part, npt.NDArray[np.int64]],
    labels: tuple[str, ...],
    parts: Mapping[Part, Texts],
    config: SplitConfig,
) -> None:
    """Refuse a split in which a label cannot be learnt or scored; all such labels are named."""
    least = config.min_positives
    faults = [
        f"label {name!r} has {counts[number]} positives in {part}, at least {least} are needed "
        f"({', '.join(f'{other}: {positives[other][number]}' for other in parts)})"
        for number, name in enumerate(labels)
        for part, counts in positives.items()
        if len(parts[part]) and counts[number] < least
    ]
    if faults:
        raise DataError(
            "\n".join(faults) + "\nGive more texts with such a label, take it out "
            "(classify.ingest.columns.ignore), lower classify.split.min_positives where it is "
            "above 1, or hold out other shares (classify.split.valid_share, test_share)"
        )


# ---- tables ----------------------------------------------------------------------------------


def _rare(fit: Texts, config: SplitConfig) -> npt.NDArray[np.bool_]:
    if config.augmentation == "none":
        return np.zeros(len(fit), bool)
    return rare_rows(fit.targets, config.minority_share)


def _copies(rare: Texts, config: ClassifyConfig) -> pa.Table:
    """Made-up rows, several for each rare one."""
    num = config.split.augment_factor - 1
    texts = [
        copy
        for row, text in zip(rare.rows.tolist(), rare.texts, strict=True)
        for copy in copies_of(text, row, num=num, seed=config.seed)
    ]
    ids = [f"{name}~{copy + 1}" for name in rare.ids for copy in range(num)]
    made = Texts(np.repeat(rare.rows, num), ids, texts, np.repeat(rare.targets, num, axis=0))
    return _table(made, augmented=True)


def _table(texts: Texts, *, augmented: bool = False) -> pa.Table:
    return pa.table(
        {
            ROW: pa.array(texts.rows, pa.int64()),
            ID: pa.array(texts.ids, pa.string()),
            TEXT: pa.array(texts.texts, pa.string()),
            LABELS: label_lists(texts.targets),
            AUGMENTED: pa.array(np.full(len(texts), augmented), pa.bool_()),
        }
    )


# ---- what is said of it ----------------------------------------------------------------------


def _by_label(
    labels: tuple[str, ...], positives: Mapping[Part, npt.NDArray[np.int64]]
) -> dict[str, dict[str, int]]:
    return {
        name: {part: int(counts[number]) for part, counts in positives.items()}
        for number, name in enumerate(labels)
    }


def _largest_difference(parts: Mapping[Part, Texts]) -> float:
    """How far the share of any label in valid or test is from that in train."""
    shares = {part: texts.targets.mean(axis=0) for part, texts in parts.items() if len(texts)}
    others = [np.abs(share - shares["train"]).max() for share in shares.values()]
    return float(max(others))


def _said(
    source: Ingested,
    config: SplitConfig,
    parts: Mapping[Part, Texts],
    num_train: int,
    *,
    leaked: int,
) -> dict[str, Any]:
    """The lines that people read: parts first, then what they should know."""
    sizes = ", ".join(f"{part} {len(texts)}" for part, texts in parts.items() if len(texts))
    lines = [f"split: {sizes} texts; {num_train - len(parts['train'])} made up for rare labels"]
    warnings = []
    if source.manifest.rows.get(TEST) and config.test_share:
        lines.append(
            f"the test file is test as a whole; classify.split.test_share={config.test_share} is "
            "not used"
        )
    if leaked:
        done = "left out of train and valid" if config.leakage == "drop" else "kept"
        warnings.append(
            f"{leaked} texts to train on stand in the test file too, but for spaces, case and "
            f"marks: {done} (leakage={config.leakage})"
        )
    if not len(parts["test"]):
        warnings.append("there is no test: what is found on valid is too good by a little")
    return {"headline": [*lines, *warnings], "warnings": warnings}
