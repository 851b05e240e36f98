"""Write ingested texts as the split folder that data.py describes.

An official test stays whole; the rest is stratified over all labels. Texts that differ only in
spaces, case and punctuation share a part. Rare labels are augmented afterwards, in train only.
Shapes: N texts, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import compress
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

    def select(self, which: npt.NDArray[np.bool_]) -> Texts:
        """Select the marked rows [N]."""
        ids, texts = list(compress(self.ids, which)), list(compress(self.texts, which))
        return Texts(self.rows[which], ids, texts, self.targets[which])


def split(interactions: Path, config: ClassifyConfig, *, out: Path) -> Report:
    """Hold out valid and test, and augment rare labels in train."""
    source = open_ingested(interactions, task="classify")
    require_made_with(config, source.manifest.made_with, what=str(interactions))
    labels = tuple(source.manifest.facts["labels"])
    settings = config.split
    official = Texts.of(source.rows(TEST), len(labels))
    pool, leaked = _remove_leaks(Texts.of(source.rows(POOL), len(labels)), official, settings)
    parts = _divide(pool, official, settings, seed=config.seed)
    positives = {part: own.targets.sum(axis=0, dtype=np.int64) for part, own in parts.items()}
    by_label = {
        name: {part: int(counts[number]) for part, counts in positives.items()}
        for number, name in enumerate(labels)
    }
    _require_positives(by_label, [part for part in parts if len(parts[part])], settings)
    fit = parts["train"]
    tables = {part: _table(texts) for part, texts in parts.items()}
    if settings.augmentation != "none":
        rare = fit.select(rare_rows(fit.targets, settings.minority_share))
        tables["train"] = pa.concat_tables([tables["train"], _augment(rare, config)])
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
        "labels": by_label,
        "largest_difference": _largest_difference(parts),
        "augmented_rows": manifest.rows["train"] - len(fit),
        "leaked": leaked,
        **_summarize(source, settings, parts, manifest.rows["train"], leaked=leaked),
        "content_hash": manifest.content_hash,
        "test_hash": manifest.test_hash,
    }


def _remove_leaks(pool: Texts, official: Texts, config: SplitConfig) -> tuple[Texts, int]:
    """Handle texts that are in the official test too, and count them."""
    tested = {plain(text) for text in official.texts}
    if not tested:
        return pool, 0
    leaks = np.asarray([plain(text) in tested for text in pool.texts], bool)
    if leaks.any() and config.leakage == "error":
        shown = ", ".join(map(repr, pool.select(leaks).ids[:5]))
        raise DataError(
            f"{leaks.sum()} of {len(pool)} texts to train on are in the test file too, up to "
            f"spaces, case and punctuation (ids {shown}). Remove them, or set "
            "classify.split.leakage=drop"
        )
    return (pool.select(~leaks) if config.leakage == "drop" else pool), int(leaks.sum())


def _divide(pool: Texts, official: Texts, config: SplitConfig, *, seed: int) -> dict[Part, Texts]:
    """Assign rows to parts."""
    shares = (
        0.0 if config.use_full_data else config.valid_share,
        0.0 if len(official) else config.test_share,
    )
    sizes = part_sizes(len(pool), shares, task="classify", texts="texts")
    found = stratify(
        pool.targets,
        sizes,
        groups=groups_of(pool.texts),
        at_least=config.min_positives,
        seed=derive_seed(seed, "split"),
    )
    parts = {part: pool.select(found == number) for number, part in enumerate(_ORDER)}
    require_parts(found, sizes, task="classify", texts="texts")
    return {**parts, "test": official} if len(official) else parts


def _require_positives(
    positives: Mapping[str, Mapping[Part, int]], filled: list[Part], config: SplitConfig
) -> None:
    """Refuse a split with too few positives of a label to train on or to score."""
    least = config.min_positives
    faults = [
        f"label {name!r} has {counts[part]} positives in {part}, at least {least} are needed "
        f"({', '.join(f'{other}: {number}' for other, number in counts.items())})"
        for name, counts in positives.items()
        for part in filled
        if counts[part] < least
    ]
    if faults:
        raise DataError(
            "\n".join(faults) + "\nGive more texts with such a label, exclude the label "
            "(classify.ingest.columns.ignore), lower classify.split.min_positives where it is "
            "above 1, or change the shares (classify.split.valid_share, test_share)"
        )


def _augment(rare: Texts, config: ClassifyConfig) -> pa.Table:
    """Make augmented copies of rare rows."""
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


def _largest_difference(parts: Mapping[Part, Texts]) -> float:
    """Return the largest difference of a label's share between a held-out part and train."""
    shares = {part: texts.targets.mean(axis=0) for part, texts in parts.items() if len(texts)}
    return float(max(np.abs(share - shares["train"]).max() for share in shares.values()))


def _summarize(
    source: Ingested,
    config: SplitConfig,
    parts: Mapping[Part, Texts],
    num_train: int,
    *,
    leaked: int,
) -> dict[str, Any]:
    """Return the headline and the warnings of the report."""
    sizes = ", ".join(f"{part} {len(texts)}" for part, texts in parts.items() if len(texts))
    lines = [f"split: {sizes} texts; {num_train - len(parts['train'])} augmented for rare labels"]
    warnings = []
    if source.manifest.rows.get(TEST) and config.test_share:
        lines.append(
            f"the whole test file is test; classify.split.test_share={config.test_share} is not "
            "used"
        )
    if leaked:
        done = "left out of train and valid" if config.leakage == "drop" else "kept"
        warnings.append(
            f"{leaked} texts to train on are in the test file too, up to spaces, case and "
            f"punctuation: {done} (leakage={config.leakage})"
        )
    if not len(parts["test"]):
        warnings.append("there is no test part: scores on valid are slightly optimistic")
    return {"headline": [*lines, *warnings], "warnings": warnings}
