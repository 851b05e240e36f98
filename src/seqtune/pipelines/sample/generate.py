"""Writes the sample data as the files a user would bring."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from seqtune.contracts.columns import ITEM, TIME, USER
from seqtune.contracts.seeds import derive_seed

from .catalogue import (
    Int,
    Texts,
    director_rows,
    genre_rows,
    invent_catalogue,
    title_rows,
    writer_rows,
)
from .params import SampleParameters
from .viewers import watch

SIDE_ROWS = {
    "genre": genre_rows,
    "director": director_rows,
    "writer": writer_rows,
    "title": title_rows,
}
FILES = ("interactions", *SIDE_ROWS)


def generate(parameters: SampleParameters, *, out: Path) -> tuple[Path, ...]:
    """Write `FILES` below `out`; the same parameters give the same bytes."""
    catalogue = invent_catalogue(rng_of(parameters, "films"), num_items=parameters.num_items)
    ids = _film_ids(parameters)
    log = watch(
        rng_of(parameters, "users"),
        catalogue,
        num_users=parameters.num_users,
        mean_length=parameters.mean_length,
    )
    users = [f"u{user:04}" for user in log.users]
    rows = zip(users, _named(ids, log.films), log.times.tolist(), strict=True)
    paths = [_write(out / "interactions.csv", (USER, ITEM, TIME), rows)]
    for side, make_rows in SIDE_ROWS.items():
        films, values = make_rows(rng_of(parameters, side), catalogue)
        rows_by_id = sorted(zip(_named(ids, films), values, strict=True))
        paths.append(_write(out / f"{side}.csv", (ITEM, side), rows_by_id))
    return tuple(paths)


def rng_of(parameters: SampleParameters, purpose: str) -> np.random.Generator:
    """Independent of what else is generated."""
    return np.random.default_rng(derive_seed(parameters.seed, "sample", purpose))


def _film_ids(parameters: SampleParameters) -> Texts:
    """Shuffled, so that an id says nothing about a film."""
    numbers = rng_of(parameters, "ids").permutation(parameters.num_items)
    return [f"film-{number:04}" for number in numbers]


def _named(ids: Texts, films: Int) -> Texts:
    return [ids[film] for film in films]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path
