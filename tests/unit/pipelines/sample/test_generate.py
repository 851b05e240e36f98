"""Sample data: the same bytes every time, in a user's format, with something to be learnt."""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from seqtune.contracts.sample import SampleParameters
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.sample.catalogue import GENRES, invent_catalogue
from seqtune.tasks.recommend.sample.generate import generate
from seqtune.tasks.recommend.sample.viewers import watch

SMALL = SampleParameters(enabled=True, num_users=120, num_items=150, mean_length=12)
Rows = list[list[str]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    paths = generate(SMALL, out=tmp_path_factory.mktemp("sample"))
    return dict(zip(TASK.sample_files, paths, strict=True))


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


def test_the_same_parameters_give_the_same_bytes(files: dict[str, Path], tmp_path: Path) -> None:
    again = generate(SMALL, out=tmp_path)

    assert [path.name for path in again] == [path.name for path in files.values()]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(again, files.values(), strict=True))


def test_another_seed_gives_other_data(files: dict[str, Path], tmp_path: Path) -> None:
    other = generate(SMALL.model_copy(update={"seed": 1}), out=tmp_path)

    assert other[0].read_bytes() != files["interactions"].read_bytes()


def test_interactions_are_a_log_in_order_of_time(files: dict[str, Path]) -> None:
    header, rows = read(files["interactions"])
    times = [int(time) for _, _, time in rows]

    assert header == ["user", "item", "time"]
    assert times == sorted(times)
    assert min(times) > 0
    assert len({user for user, _, _ in rows}) == SMALL.num_users


def test_nobody_watches_twice_or_two_at_once(files: dict[str, Path]) -> None:
    _, rows = read(files["interactions"])

    assert len({(user, item) for user, item, _ in rows}) == len(rows)
    assert len({(user, time) for user, _, time in rows}) == len(rows)


def test_some_users_are_too_short_to_learn_from(files: dict[str, Path]) -> None:
    lengths = [len(items) for items in histories(files["interactions"]).values()]

    assert 0 < sum(length < 3 for length in lengths) < 0.1 * len(lengths)
    assert np.mean(lengths) == pytest.approx(SMALL.mean_length, rel=0.15)


@pytest.mark.parametrize("side", TASK.sample_files[1:])
def test_side_tables_describe_every_film(files: dict[str, Path], side: str) -> None:
    header, rows = read(files[side])

    assert header == ["item", side]
    assert {item for item, _ in rows} == {f"film-{number:04}" for number in range(SMALL.num_items)}
    assert all(value for _, value in rows)
    assert len({tuple(row) for row in rows}) == len(rows)


def test_titles_are_unique_and_hard_to_parse_badly(files: dict[str, Path]) -> None:
    titles = [title for _, title in read(files["title"])[1]]

    assert len(set(titles)) == len(titles)
    assert any("," in title for title in titles)
    assert any('"' in title for title in titles)
    assert any("가" <= letter <= "힣" for title in titles for letter in title)


def test_parts_of_a_saga_are_watched_in_order() -> None:
    rng = np.random.default_rng(0)
    catalogue = invent_catalogue(rng, num_items=150)
    log = watch(rng, catalogue, num_users=50, mean_length=20)
    saga = np.repeat(np.arange(catalogue.num_sagas), catalogue.saga_parts)

    for user in range(50):
        films = log.films[log.users == user]
        films = films[films < catalogue.first_single]
        for number in set(saga[films]):
            parts = films[saga[films] == number] - catalogue.saga_start[number]
            assert parts.tolist() == list(range(len(parts)))


def test_saga_has_one_genre_and_is_rarely_seen_twice_running() -> None:
    rng = np.random.default_rng(0)
    catalogue = invent_catalogue(rng, num_items=300)
    log = watch(rng, catalogue, num_users=200, mean_length=25)
    saga = np.repeat(np.arange(catalogue.num_sagas), catalogue.saga_parts)

    assert set(catalogue.genre.tolist()) == set(range(len(GENRES)))
    for start, parts in zip(catalogue.saga_start, catalogue.saga_parts, strict=True):
        assert len(set(catalogue.genre[start : start + parts].tolist())) == 1
    runs = [
        saga[a] == saga[b]
        for user in range(200)
        for a, b in pairwise(log.films[log.users == user].tolist())
        if max(a, b) < catalogue.first_single
    ]
    assert np.mean(runs) < 0.02


def test_last_item_says_less_than_the_one_three_back(tmp_path: Path) -> None:
    """What makes the data worth a model of sequences: pairs in a row miss the structure."""
    path, *_ = generate(SampleParameters(num_users=1000), out=tmp_path)
    sequences = [items for items in histories(path).values() if len(items) > 8]

    nearest = hit_share_of_markov(sequences, lag=1)
    third = hit_share_of_markov(sequences, lag=3)

    assert nearest < 0.1
    assert third > 4 * nearest


def test_popularity_is_skewed(tmp_path: Path) -> None:
    path, *_ = generate(SampleParameters(num_users=1000), out=tmp_path)
    items = [item for history in histories(path).values() for item in history]
    _, counts = np.unique(items, return_counts=True)
    counts = np.sort(counts)[::-1]

    assert counts[: len(counts) // 10].sum() > 0.25 * counts.sum()


def test_length_that_would_exhaust_the_films_is_refused() -> None:
    with pytest.raises(ValueError, match="mean_length=100 is too long for num_items=500: nobody"):
        SampleParameters(num_items=500, mean_length=100)


def test_most_demanding_parameters_allowed_still_work(tmp_path: Path) -> None:
    parameters = SampleParameters(num_users=2000, num_items=100, mean_length=12.5)

    path, *_ = generate(parameters, out=tmp_path)

    assert len(read(path)[1]) == len({(user, item) for user, item, _ in read(path)[1]})
