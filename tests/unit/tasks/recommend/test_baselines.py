"""The floors against counts worked out by hand, and on MovieLens against known numbers."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtune.tasks.recommend import markov
from seqtune.tasks.recommend.baselines import MARKOV, POPULARITY, Baselines
from seqtune.tasks.recommend.markov import transitions
from seqtune.tasks.recommend.metrics import mean_metrics, rank_counts, target_ranks

from .split_folders import split_of

ML1M = (
    Path(os.environ.get("SEQTUNE_DATA", Path(__file__).parents[5] / "shared" / "data"))
    / "recommend"
    / "ml-1m.txt"
)


#   training parts: 1 2 3 1 2 | 2 1 | (none) | 4 2 1
TINY = split_of(
    [[1, 2, 3, 1, 2, 5, 5], [2, 1, 4, 4], [3, 3], [4, 2, 1, 3, 2]],
    num_items=5,
)


def as_dict(starts, following, counts):
    return {
        (item, int(following[n])): int(counts[n])
        for item in range(len(starts) - 1)
        for n in range(starts[item], starts[item + 1])
    }


EXPECTED = {(1, 2): 2, (2, 1): 2, (2, 3): 1, (3, 1): 1, (4, 2): 1}


def test_transitions_are_counted_in_the_training_parts_only():
    assert as_dict(*transitions(TINY)) == EXPECTED


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 8])
def test_chunks_do_not_change_the_counts(monkeypatch, chunk):
    monkeypatch.setattr(markov, "CHUNK", chunk)
    assert as_dict(*transitions(TINY)) == EXPECTED


def test_popularity_scores_are_the_training_counts():
    scores = Baselines.of(TINY).scores(POPULARITY, torch.tensor([[1], [0]]))
    assert scores.tolist() == [[4, 4, 1, 1, 0]] * 2


def test_markov_prefers_transitions_and_breaks_ties_by_popularity():
    # counts 4 4 1 1 0, so that a transition weighs 5
    scores = Baselines.of(TINY).scores(MARKOV, torch.tensor([[2], [1], [5], [0], [2]]))
    assert scores.tolist() == [
        [4 + 2 * 5, 4, 1 + 5, 1, 0],  # after 2: twice 1, once 3
        [4, 4 + 2 * 5, 1, 1, 0],
        [4, 4, 1, 1, 0],  # 5 was never trained on: popularity decides
        [4, 4, 1, 1, 0],  # no history
        [4 + 2 * 5, 4, 1 + 5, 1, 0],
    ]


def test_a_split_without_training_transitions():
    data = split_of([[1, 2, 3], [2, 2, 1]], num_items=3)
    assert Baselines.of(data).scores(MARKOV, torch.tensor([[2]])).tolist() == [[1, 1, 0]]


def read_ml1m():
    table = np.loadtxt(ML1M, dtype=np.int64)
    table = table[np.argsort(table[:, 0], kind="stable")]
    ids, items = np.unique(table[:, 1], return_inverse=True)
    starts = np.unique(table[:, 0], return_index=True)[1]
    return split_of(np.split(items + 1, starts[1:]), num_items=len(ids))


def rank_all(data, floors, name, at, *, size=256):
    ranks = []
    for users in np.array_split(np.arange(data.num_users), data.num_users // size):
        start, lengths = data.offsets[users], at[users]
        rows = np.repeat(np.arange(len(users)), lengths)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        seen = data.items[start[rows] + within]
        targets, last = data.items[start + lengths], data.items[start + lengths - 1]
        ranks.append(
            target_ranks(
                floors.scores(name, torch.tensor(last, dtype=torch.int64)[:, None]),
                torch.tensor(targets, dtype=torch.int64),
                seen_rows=torch.tensor(rows),
                seen_items=torch.tensor(seen, dtype=torch.int64),
            )
        )
    return mean_metrics(rank_counts(torch.cat(ranks), [10]), [10])


@pytest.mark.skipif(not ML1M.is_file(), reason=f"MovieLens-1M is not at {ML1M}")
def test_floors_of_protocol_p1():
    data = read_ml1m()
    floors = Baselines.of(data)
    markov = rank_all(data, floors, MARKOV, data.test_at)
    assert markov["ndcg@10"] == pytest.approx(0.1259, abs=5e-5)
    assert markov["hit@10"] == pytest.approx(0.2144, abs=5e-5)
    popularity = rank_all(data, floors, POPULARITY, data.test_at)
    assert popularity["ndcg@10"] == pytest.approx(0.0180, abs=5e-5)
    assert popularity["hit@10"] == pytest.approx(0.0369, abs=5e-5)
    valid = rank_all(data, floors, MARKOV, data.valid_at)
    assert valid["ndcg@10"] == pytest.approx(0.1345, abs=5e-5)
    assert valid["hit@10"] == pytest.approx(0.2252, abs=5e-5)
