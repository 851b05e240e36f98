"""The invented films: sagas in parts, films that stand alone, and who made them.

F films, S sagas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]
Texts = list[str]

GENRES = ("Drama", "Comedy", "Sci-Fi", "Crime", "Family", "Horror", "Romance", "다큐멘터리")
SAGA_SHARE = 0.7
SAGA_PARTS = (6, 10)
POPULARITY_EXPONENT = 0.8

_FIRST = (
    "Mara",
    "Ivo",
    "Sunniva",
    "Tariq",
    "Odile",
    "Kenji",
    "Ana 'Nita'",
    "Bram",
    "Leocadia",
    "Ruben",
)
_LAST = ("Falk", "Okonjo", "Verhoeven, Jr.", "Lindqvist", "da Rosa", "Petrov", "Ashdown", "Quill")
_KOREAN = ("김서연", "박도윤", "이하람", "최은우", "정다온", "한지안")
_ADJECTIVES = (
    "Silent",
    "Copper",
    "Northern",
    "Paper",
    "Last",
    "Hidden",
    "Amber",
    "Broken",
    "Distant",
)
_NOUNS = (
    "Harbour",
    "Orchard",
    "Signal",
    "Lantern",
    "River",
    "Winter",
    "Empire",
    "Garden",
    "Compass",
)
_HANGUL = ("푸른 밤", "먼 바다", "겨울 편지", "종이 도시", "별의 정원")


@dataclass(frozen=True)
class Catalogue:
    """Films 0..F-1: the parts of the sagas first, in order, then those that stand alone."""

    genre: Int  # [F]
    saga_start: Int  # [S] film number of the first part
    saga_parts: Int  # [S]
    saga_weight: Float  # [S] how likely somebody begins it
    single_weight: Float  # [F - films in sagas]

    @property
    def num_films(self) -> int:
        return len(self.genre)

    @property
    def num_sagas(self) -> int:
        return len(self.saga_start)

    @property
    def first_single(self) -> int:
        """Number of the first film that stands alone."""
        return int(self.saga_start[-1] + self.saga_parts[-1])

    @property
    def saga_genre(self) -> Int:
        return self.genre[self.saga_start]  # [S]


def invent_catalogue(rng: np.random.Generator, *, num_items: int) -> Catalogue:
    """Divide the films into sagas and single ones, each with a genre and a popularity."""
    low, high = SAGA_PARTS
    parts = rng.integers(low, high + 1, size=num_items // low)  # [more than enough]
    parts = parts[np.cumsum(parts) <= SAGA_SHARE * num_items]  # [S]
    starts = np.cumsum(parts) - parts
    num_singles = num_items - int(parts.sum())
    saga_genre = rng.permutation(np.arange(len(parts)) % len(GENRES))
    single_genre = rng.permutation(np.arange(num_singles) % len(GENRES))
    return Catalogue(
        genre=np.concatenate([np.repeat(saga_genre, parts), single_genre]),
        saga_start=starts,
        saga_parts=parts,
        saga_weight=_zipf(rng, len(parts)),
        single_weight=_zipf(rng, num_singles),
    )


def genre_rows(rng: np.random.Generator, catalogue: Catalogue) -> tuple[Int, Texts]:
    """(film, genre): its own, and for every third film one more."""
    second = np.flatnonzero(rng.random(catalogue.num_films) < 1 / 3)
    shift = rng.integers(1, len(GENRES), size=len(second))
    films = np.concatenate([np.arange(catalogue.num_films), second])
    genres = np.concatenate([catalogue.genre, (catalogue.genre[second] + shift) % len(GENRES)])
    return films, [GENRES[genre] for genre in genres]


def director_rows(rng: np.random.Generator, catalogue: Catalogue) -> tuple[Int, Texts]:
    """(film, director): one for a whole saga; single films share those of their genre."""
    names = _people(rng, 5 * len(GENRES))
    own = rng.integers(0, 5, size=catalogue.num_sagas) * len(GENRES) + catalogue.saga_genre
    singles = catalogue.genre[catalogue.first_single :]
    shared = rng.integers(0, 5, size=len(singles)) * len(GENRES) + singles
    people = np.concatenate([np.repeat(own, catalogue.saga_parts), shared])
    return np.arange(catalogue.num_films), [names[person] for person in people]


def writer_rows(rng: np.random.Generator, catalogue: Catalogue) -> tuple[Int, Texts]:
    """(film, writer): one or two; the first is the same in a whole saga."""
    names = _people(rng, 60)
    first = rng.integers(0, 60, size=catalogue.num_films)
    sagas = rng.integers(0, 60, size=catalogue.num_sagas)
    first[: catalogue.first_single] = np.repeat(sagas, catalogue.saga_parts)
    second = np.flatnonzero(rng.random(catalogue.num_films) < 0.4)
    shift = rng.integers(1, 60, size=len(second))
    films = np.concatenate([np.arange(catalogue.num_films), second])
    people = np.concatenate([first, (first[second] + shift) % 60])
    return films, [names[person] for person in people]


def title_rows(rng: np.random.Generator, catalogue: Catalogue) -> tuple[Int, Texts]:
    """(film, title): parts of a saga share its name and are numbered."""
    names = _titles(rng, catalogue.num_sagas + catalogue.num_films - catalogue.first_single)
    sagas, singles = names[: catalogue.num_sagas], names[catalogue.num_sagas :]
    parts = [
        f"{saga}, Part {part}"
        for saga, count in zip(sagas, catalogue.saga_parts, strict=True)
        for part in range(1, count + 1)
    ]
    return np.arange(catalogue.num_films), parts + singles


def _zipf(rng: np.random.Generator, size: int) -> Float:
    return rng.permutation(1.0 / np.arange(1, size + 1) ** POPULARITY_EXPONENT)


def _people(rng: np.random.Generator, count: int) -> Texts:
    western = [f"{first} {last}" for first in _FIRST for last in _LAST]
    chosen = rng.choice(western, size=count - len(_KOREAN), replace=False)
    return [str(name) for name in rng.permutation([*chosen, *_KOREAN])]


def _titles(rng: np.random.Generator, count: int) -> Texts:
    """Names for films: some with quotation marks, some in Hangul, repeats told apart by a year."""
    plain = [f"The {adjective} {noun}" for adjective in _ADJECTIVES for noun in _NOUNS]
    quoted = [f'"{noun}" and Other Stories' for noun in _NOUNS]
    pool = [*quoted, *_HANGUL, *plain]
    names = [pool[i % len(pool)] for i in range(count)]
    years = [f" ({1960 + i // len(pool)})" if i >= len(pool) else "" for i in range(count)]
    return [
        str(name) for name in rng.permutation([n + y for n, y in zip(names, years, strict=True)])
    ]
