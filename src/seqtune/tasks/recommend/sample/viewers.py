"""What the invented users watch, and when.

Everybody follows three sagas at once, part after part, and takes them in turn; now and then comes
a film that stands alone. The film just seen therefore says little about the next one: that is the
next part of a saga seen two or three films ago. Popularity and pairs of films in a row miss it;
a model of the whole sequence does not.

U users, S sagas, F films, K sagas followed at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .catalogue import GENRES, Catalogue, Float, Int

Bool = npt.NDArray[np.bool_]

NUM_THREADS = 3
SINGLE_SHARE = 0.12
"""How often a film that stands alone is watched instead of the next part of a saga."""
LONGEST_WAITING_SHARE = 0.85
"""How often the saga that waits longest goes on, and not the other one."""
OTHER_GENRE_WEIGHT = 0.02
SHORT_SHARE = 0.02
"""Users with one or two films, for the reader to drop and report."""
FIRST_DAY = 1_600_000_000
TWO_YEARS = 2 * 365 * 86_400
HOURS_BETWEEN = 60


@dataclass(frozen=True)
class Log:
    """Who watched what when, in order of time."""

    users: Int  # [N]
    films: Int  # [N]
    times: Int  # [N] seconds since 1970


def watch(
    rng: np.random.Generator, catalogue: Catalogue, *, num_users: int, mean_length: float
) -> Log:
    """Let every user watch films one after another."""
    lengths = _lengths(rng, num_users, mean_length=mean_length)
    viewers = _Viewers(rng, catalogue, num_users)
    films = np.stack([viewers.next_films() for _ in range(int(lengths.max()))], axis=1)  # [U, T]
    gaps = rng.exponential(HOURS_BETWEEN * 3600, size=films.shape).astype(np.int64) + 1
    starts = rng.integers(FIRST_DAY, FIRST_DAY + TWO_YEARS, size=(num_users, 1))
    times = starts + np.cumsum(gaps, axis=1)
    kept = np.arange(films.shape[1]) < lengths[:, None]  # [U, T]
    users = np.broadcast_to(np.arange(num_users)[:, None], films.shape)
    order = np.argsort(times[kept], kind="stable")
    return Log(users=users[kept][order], films=films[kept][order], times=times[kept][order])


def _lengths(rng: np.random.Generator, num_users: int, *, mean_length: float) -> Int:
    """Log-normal, as lengths of histories are; a few too short to learn from."""
    sigma = 0.5
    drawn = rng.lognormal(np.log(mean_length) - sigma**2 / 2, sigma, size=num_users)
    lengths: Int = np.clip(drawn.round(), 5, 2.5 * mean_length).astype(np.int64)
    short = rng.random(num_users) < SHORT_SHARE
    lengths[short] = rng.integers(1, 3, size=int(short.sum()))
    return lengths


class _Viewers:
    """All users at once, each somewhere in three sagas."""

    def __init__(self, rng: np.random.Generator, catalogue: Catalogue, num_users: int) -> None:
        self._rng = rng
        self._films = catalogue
        self._everybody = np.arange(num_users)
        self._likes = self._two_genres(num_users)  # [U, genres]
        self._begun = np.zeros((num_users, catalogue.num_sagas), dtype=np.bool_)  # [U, S]
        self._seen_singles = np.zeros((num_users, len(catalogue.single_weight)), dtype=np.bool_)
        self._saga = np.zeros((num_users, NUM_THREADS), dtype=np.int64)  # [U, K]
        self._part = np.zeros_like(self._saga)  # [U, K] the next part to watch
        self._waits = rng.permuted(
            np.tile(np.arange(NUM_THREADS), (num_users, 1)), axis=1
        )  # [U, K]
        for thread in range(NUM_THREADS):
            self._begin_saga(self._everybody, np.full(num_users, thread))

    def next_films(self) -> Int:
        """One film for every user: [U]."""
        films = np.empty(len(self._everybody), dtype=np.int64)
        alone = self._rng.random(len(films)) < SINGLE_SHARE
        films[alone] = self._singles(self._everybody[alone])
        films[~alone] = self._next_parts(self._everybody[~alone])
        return films

    def _next_parts(self, users: Int) -> Int:
        """The next part of the saga that waits longest, or of the one after it."""
        by_waiting = np.argsort(-self._waits[users], axis=1)  # [U, K]
        second = self._rng.random(len(users)) >= LONGEST_WAITING_SHARE
        thread = by_waiting[np.arange(len(users)), second.astype(np.int64)]
        self._waits[users] += 1
        self._waits[users, thread] = 0
        saga = self._saga[users, thread]
        films = self._films.saga_start[saga] + self._part[users, thread]
        self._part[users, thread] += 1
        done = self._part[users, thread] == self._films.saga_parts[saga]
        self._begin_saga(users[done], thread[done])
        return films

    def _begin_saga(self, users: Int, thread: Int) -> None:
        weights = self._films.saga_weight * self._likes[users][:, self._films.saga_genre]
        saga = self._choose(weights, forbidden=self._begun[users])
        self._begun[users, saga] = True
        self._saga[users, thread] = saga
        self._part[users, thread] = 0

    def _singles(self, users: Int) -> Int:
        genres = self._films.genre[self._films.first_single :]
        weights = self._films.single_weight * self._likes[users][:, genres]
        single = self._choose(weights, forbidden=self._seen_singles[users])
        self._seen_singles[users, single] = True
        return self._films.first_single + single

    def _two_genres(self, num_users: int) -> Float:
        """[U, genres]: 1 for two favourites, little for the rest."""
        rank = self._rng.permuted(np.tile(np.arange(len(GENRES)), (num_users, 1)), axis=1)
        return np.where(rank < 2, 1.0, OTHER_GENRE_WEIGHT)

    def _choose(self, weights: Float, *, forbidden: Bool) -> Int:
        """One column for every row, by weight: the largest of weight over an exponential draw."""
        draws = weights / self._rng.exponential(size=weights.shape)
        chosen: Int = np.where(forbidden, -1.0, draws).argmax(axis=1)
        return chosen
