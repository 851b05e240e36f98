"""Writes the sample data as the files a user would bring."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from seqtune.contracts.columns import ITEM, TIME, USER
from seqtune.contracts.sample import SampleParameters

from .catalogue import (
    Int,
    Texts,
    director_rows,
    genre_rows,
    invent_catalogue,
    title_rows,
    writer_rows,
)
from .viewers import watch

SIDE_ROWS = {
    "genre": genre_rows,
    "director": director_rows,
    "writer": writer_rows,
    "title": title_rows,
}


def generate(parameters: SampleParameters, *, out: Path) -> tuple[Path, ...]:
    """Write interactions and side tables; the same parameters give the same bytes."""
    catalogue = invent_catalogue(parameters.rng("films"), num_items=parameters.num_items)
    ids = _film_ids(parameters)
    log = watch(
        parameters.rng("users"),
        catalogue,
        num_users=parameters.num_users,
        mean_length=parameters.mean_length,
    )
    users = [f"u{user:04}" for user in log.users]
    rows = zip(users, _named(ids, log.films), log.times.tolist(), strict=True)
    paths = [_write(out / "interactions.csv", (USER, ITEM, TIME), rows)]
    for side, make_rows in SIDE_ROWS.items():
        films, values = make_rows(parameters.rng(side), catalogue)
        rows_by_id = sorted(zip(_named(ids, films), values, strict=True))
        paths.append(_write(out / f"{side}.csv", (ITEM, side), rows_by_id))
    return tuple(paths)


def _film_ids(parameters: SampleParameters) -> Texts:
    """Shuffled, so that an id says nothing about a film."""
    numbers = parameters.rng("ids").permutation(parameters.num_items)
    return [f"film-{number:04}" for number in numbers]


def _named(ids: Texts, films: Int) -> Texts:
    return [ids[film] for film in films]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path
