"""Sample data of `recommend`: in a user's format, with something to be learnt."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from seqtune.core.checkpoint import file_hash
from seqtune.core.sample import SampleParameters
from seqtune.pipelines.sample.nodes import SampleNodes
from seqtune.tasks import recommend

ENABLED = SampleParameters(enabled=True)
SIDES = ("genre", "director", "writer", "title")
HASHES = {
    "interactions": "a67d0bb6a76024be",
    "genre": "15671a1566320e66",
    "director": "18c2727b769b6515",
    "writer": "f28d3bbb7b6a7985",
    "title": "3a550da15950c57d",
}
PART = re.compile(r"(?P<saga>.*), Part (?P<part>\d+)")
Rows = list[list[str]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    paths = SampleNodes(recommend.TASK).write(ENABLED, tmp_path_factory.mktemp("sample"))
    return {path.stem: path for path in paths}


@pytest.fixture(scope="module")
def watched(files: dict[str, Path]) -> dict[str, list[str]]:
    """What each user watched, in order of time."""
    return histories(files["interactions"])


@pytest.fixture(scope="module")
def sagas(files: dict[str, Path]) -> dict[str, tuple[str, int]]:
    """Saga and part of every film that is part of one."""
    found = ((film, PART.fullmatch(title)) for film, title in read(files["title"])[1])
    return {film: (match["saga"], int(match["part"])) for film, match in found if match}


def read(path: Path) -> tuple[list[str], Rows]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def histories(path: Path) -> dict[str, list[str]]:
    _, rows = read(path)
    by_user: dict[str, list[str]] = defaultdict(list)
    for user, item, _ in rows:
        by_user[user].append(item)
    return by_user


def hit_share_of_markov(sequences: list[list[str]], *, lag: int) -> float:
    """How often the most frequent successor of the item `lag` steps back is the last item."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for sequence in sequences:
        for before, after in zip(sequence[:-1], sequence[lag:-1], strict=False):
            counts[before][after] += 1
    hits = [
        max(counts[sequence[-1 - lag]], key=counts[sequence[-1 - lag]].__getitem__) == sequence[-1]
        for sequence in sequences
        if counts[sequence[-1 - lag]]
    ]
    return float(np.mean(hits))


def test_files_are_byte_for_byte_those_of_published_results(files: dict[str, Path]) -> None:
    hashes = {name: file_hash(path)[:16] for name, path in files.items()}

    assert hashes == HASHES


def test_interactions_are_a_log_in_order_of_time(files: dict[str, Path]) -> None:
    header, rows = read(files["interactions"])
    times = [int(time) for _, _, time in rows]

    assert header == ["user", "item", "time"]
    assert times == sorted(times)
    assert min(times) > 0
    assert len({user for user, _, _ in rows}) == 3000


def test_nobody_watches_twice_or_two_at_once(files: dict[str, Path]) -> None:
    _, rows = read(files["interactions"])

    assert len({(user, item) for user, item, _ in rows}) == len(rows)
    assert len({(user, time) for user, _, time in rows}) == len(rows)


def test_some_users_are_too_short_to_learn_from(watched: dict[str, list[str]]) -> None:
    lengths = [len(items) for items in watched.values()]

    assert 0 < sum(length < 3 for length in lengths) < 0.1 * len(lengths)
    assert np.mean(lengths) == pytest.approx(30, rel=0.15)


@pytest.mark.parametrize("side", SIDES)
def test_side_tables_describe_every_film(files: dict[str, Path], side: str) -> None:
    header, rows = read(files[side])

    assert header == ["item", side]
    assert {item for item, _ in rows} == {f"film-{number:04}" for number in range(500)}
    assert all(value for _, value in rows)
    assert len({tuple(row) for row in rows}) == len(rows)


def test_titles_are_unique_and_hard_to_parse_badly(files: dict[str, Path]) -> None:
    titles = [title for _, title in read(files["title"])[1]]

    assert len(set(titles)) == len(titles)
    assert any("," in title for title in titles)
    assert any('"' in title for title in titles)
    assert any("가" <= letter <= "힣" for title in titles for letter in title)


def test_parts_of_a_saga_are_watched_in_order(
    watched: dict[str, list[str]], sagas: dict[str, tuple[str, int]]
) -> None:
    for films in watched.values():
        parts: dict[str, list[int]] = defaultdict(list)
        for saga, part in (sagas[film] for film in films if film in sagas):
            parts[saga].append(part)
        assert all(seen == list(range(1, len(seen) + 1)) for seen in parts.values())


def test_saga_has_one_director_and_is_rarely_seen_twice_running(
    files: dict[str, Path],
    watched: dict[str, list[str]],
    sagas: dict[str, tuple[str, int]],
) -> None:
    directors: dict[str, set[str]] = defaultdict(set)
    for film, director in read(files["director"])[1]:
        if film in sagas:
            directors[sagas[film][0]].add(director)
    runs = [
        sagas[a][0] == sagas[b][0]
        for films in watched.values()
        for a, b in pairwise(films)
        if a in sagas and b in sagas
    ]

    assert len(directors) > 30
    assert all(len(names) == 1 for names in directors.values())
    assert np.mean(runs) < 0.02


def test_last_item_says_less_than_the_one_three_back(watched: dict[str, list[str]]) -> None:
    """What makes the data worth a model of sequences: pairs in a row miss the structure."""
    sequences = [items for items in watched.values() if len(items) > 8][:1000]

    nearest = hit_share_of_markov(sequences, lag=1)
    third = hit_share_of_markov(sequences, lag=3)

    assert nearest < 0.1
    assert third > 4 * nearest


def test_popularity_is_skewed(watched: dict[str, list[str]]) -> None:
    items = [item for films in watched.values() for item in films]
    _, counts = np.unique(items, return_counts=True)
    counts = np.sort(counts)[::-1]

    assert counts[: len(counts) // 10].sum() > 0.25 * counts.sum()


def test_sizes_that_are_gone_are_refused_in_one_line() -> None:
    with pytest.raises(
        ValueError, match=r"sample\.num_users, sample\.seed: .* a fixed set of files"
    ):
        SampleParameters.model_validate({"enabled": True, "num_users": 50, "seed": 1})
