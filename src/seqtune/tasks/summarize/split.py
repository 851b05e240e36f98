"""Split ingested dialogues into the folder that data.py describes.

Official parts stay as they are; missing ones are drawn at random. Dialogues that differ only in
spaces, case and marks share a part, and none of valid or test is in train.
Shapes: N dialogues.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seqtune.core.resolve import require_made_with
from seqtune.core.seeds import derive_seed
from seqtune.core.task import Report
from seqtune.text.ingested import ROLE, Ingested, open_ingested
from seqtune.text.rows import groups_of, part_sizes, plain, require_parts
from seqtune.text.split import Part, write_split

from .augment import AugmentedRows, augment, open_augmenters
from .data import AUGMENTATION, AUGMENTED, COLUMNS, DIALOGUE, ID, OWN
from .params import SplitConfig, SummarizeConfig
from .reading import POOL, TEST, VALID

Parts = dict[Part, pa.Table]
ASSETS_HASH = sha256(b"texts").hexdigest()
"""Constant, because summaries have no vocabulary that depends on the data."""


def split(interactions: Path, config: SummarizeConfig, *, out: Path) -> Report:
    """Hold out valid and test; augment the rest if configured."""
    source = open_ingested(interactions, task="summarize")
    require_made_with(config, source.manifest.made_with, what=str(interactions))
    rewriters = open_augmenters(config)
    parts, leaked = divide(source, config.split, seed=config.seed)
    fit = parts["train"]
    made = augment(fit[DIALOGUE].to_pylist(), rewriters, config)
    parts["train"] = pa.concat_tables([_made_by(OWN, fit), *(_copies(fit, m) for m in made)])
    for part in ("valid", "test"):
        parts[part] = _made_by(OWN, parts[part])
    manifest = write_split(
        out,
        {part: table.select(COLUMNS) for part, table in parts.items()},
        task="summarize",
        assets_hash=ASSETS_HASH,
        facts={
            "fit_rows": fit.num_rows,
            "official": [role for role in (VALID, TEST) if role in source.manifest.rows],
            AUGMENTATION: [one.facts() for one in made],
            "seed": config.seed,
        },
        made_with={**source.manifest.made_with, "split": config.split.model_dump(mode="json")},
    )
    rows = {**manifest.rows, "train": fit.num_rows}
    return {
        "strategy": "official" if manifest.facts["official"] else "random",
        "rows": rows,
        "augmented_rows": manifest.rows["train"] - fit.num_rows,
        "augmentation": manifest.facts[AUGMENTATION],
        "leaked": leaked,
        **_headline(source, config.split, rows, made, leaked=leaked),
        "content_hash": manifest.content_hash,
        "test_hash": manifest.test_hash,
    }


def divide(source: Ingested, config: SplitConfig, *, seed: int) -> tuple[Parts, dict[str, int]]:
    """Return the rows of each part, and how many dialogues were in two of them."""
    pool, valid, test = (source.rows(role) for role in (POOL, VALID, TEST))
    if config.use_full_data:
        pool, valid = pa.concat_tables([pool, valid]), valid.slice(0, 0)
    valid_keys, test_keys = _keys(valid), _keys(test)
    leaks = [_which(pool, valid_keys), _which(pool, test_keys)]
    pool = pool.filter(pa.array(~(leaks[0] | leaks[1])))
    wanted = (
        0.0 if config.use_full_data or valid.num_rows else config.valid_share,
        0.0 if test.num_rows else config.test_share,
    )
    found = hold_out(groups_of(pool[DIALOGUE].to_pylist()), wanted, seed=derive_seed(seed, "split"))
    drawn = [pool.filter(pa.array(found == number)) for number in range(3)]
    leaked = {
        "train_and_valid": int(leaks[0].sum()),
        "train_and_test": int(leaks[1].sum()),
        "valid_and_test": int(_which(valid, test_keys).sum()),
    }
    parts: Parts = {
        "train": drawn[0],
        "valid": valid if valid.num_rows else drawn[1],
        "test": test if test.num_rows else drawn[2],
    }
    return parts, leaked


def hold_out(
    groups: npt.NDArray[np.int64], shares: tuple[float, float], *, seed: int
) -> npt.NDArray[np.int64]:
    """Return 0 for train, 1 for valid, 2 for test [N]; rows of a group stay together."""
    sizes = part_sizes(len(groups), shares, task="summarize", texts="dialogues")
    weights = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(len(weights))
    order = order[np.argsort(weights[order] == 1, kind="stable")]  # single rows fill the rest
    room = {2: sizes[2], 1: sizes[1]}
    parts = np.zeros(len(weights), np.int64)
    for group in order.tolist():
        parts[group] = next((p for p, left in room.items() if left >= weights[group]), 0)
        if parts[group]:
            room[int(parts[group])] -= int(weights[group])
    found = parts[groups]
    require_parts(found, sizes, task="summarize", texts="dialogues")
    return found


def _keys(table: pa.Table) -> set[str]:
    return {plain(text) for text in table[DIALOGUE].to_pylist()}


def _which(table: pa.Table, keys: set[str]) -> npt.NDArray[np.bool_]:
    """Return a mask of rows whose dialogue is among `keys` [N]."""
    return np.asarray([plain(text) in keys for text in table[DIALOGUE].to_pylist()], bool)


def _made_by(kind: str, table: pa.Table) -> pa.Table:
    kinds = pa.array([kind] * table.num_rows, pa.string())
    return table.drop_columns([ROLE]).append_column(AUGMENTED, kinds)


def _copies(fit: pa.Table, made: AugmentedRows) -> pa.Table:
    """Return rows with augmented dialogues; other columns are those of the original rows."""
    table = _made_by(made.kind, fit.take(pa.array(made.rows, pa.int64())))
    ids = [f"{name}~{made.kind}" for name in table[ID].to_pylist()]
    table = table.set_column(table.column_names.index(ID), ID, pa.array(ids, pa.string()))
    place = table.column_names.index(DIALOGUE)
    return table.set_column(place, DIALOGUE, pa.array(made.dialogues, pa.string()))


def _headline(
    source: Ingested,
    config: SplitConfig,
    rows: Mapping[str, int],
    made: list[AugmentedRows],
    *,
    leaked: Mapping[str, int],
) -> dict[str, Any]:
    """Return the lines for the user: parts first, then warnings."""
    sizes = ", ".join(f"{part} {num}" for part, num in rows.items() if num)
    lines = [f"split: {sizes} dialogues", *(one.line() for one in made)]
    unused = {VALID: "valid_share", TEST: "test_share"}
    lines += [
        f"{role}: a part as a whole; summarize.split.{name} is not used"
        for role, name in unused.items()
        if role in source.manifest.rows and not (role == VALID and config.use_full_data)
    ]
    warnings = [
        f"{leaked[f'train_and_{part}']} dialogues to train on stand in {part} too, but for spaces, "
        "case and marks: left out of train"
        for part in ("valid", "test")
        if leaked[f"train_and_{part}"]
    ]
    if leaked["valid_and_test"]:
        warnings.append(
            f"{leaked['valid_and_test']} dialogues of valid stand in test too; both are official, "
            "and are kept"
        )
    if not rows["test"]:
        warnings.append("there is no test: what is found on valid is too good by a little")
    return {"headline": [*lines, *warnings], "warnings": warnings}
