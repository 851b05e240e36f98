"""The rounds: one command to one server at a time, in turn."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ._serving import Data, Settings
from .client import Client
from .environments import python_of, shown_versions
from .errors import PeerError
from .roster import Entrant
from .work import require_sound, score


@dataclass
class Found:
    """What came out for one entrant; `failure` says why there is no more."""

    entrant: Entrant
    versions: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """The first is the warm-up."""
    validations: list[dict[str, Any]] = field(default_factory=list)
    recommendations: list[dict[str, Any]] = field(default_factory=list)
    peaks: dict[str, float] = field(default_factory=dict)
    equal_time: dict[str, float] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class Race:
    """The same for all."""

    data: Data
    settings: Settings
    venvs: Path
    rounds: int
    scratch: Path

    def run(self, entrants: dict[str, Entrant], *, equal_seconds: float) -> dict[str, Found]:
        found = {name: Found(entrant) for name, entrant in entrants.items()}
        self.data.save(self._arrays)
        with contextlib.ExitStack() as stack:
            clients: dict[str, Client] = {}

            def start(name: str) -> None:
                clients[name] = stack.enter_context(self._client(name, found[name], "turns"))
                found[name].facts = self._prepare(clients[name], found[name])

            def turn(what: Callable[[Client, Found], None]) -> None:
                self._each(found, lambda name: what(clients[name], found[name]), what.__name__)

            self._each(found, start, "start")
            for _ in range(1 + self.rounds):
                turn(self.epoch)
            for _ in range(1 + self.rounds):
                turn(self.validate)
                turn(self.recommend)
            turn(peak)
        if equal_seconds > 0:
            self._each(
                found,
                lambda name: self.equal_time(name, found[name], equal_seconds),
                "equal time",
            )
        return found

    def _each(self, found: dict[str, Found], act: Callable[[str], None], what: str) -> None:
        """In turn; one that fails is left out from then on."""
        for name, one in found.items():
            if one.failure:
                continue
            print(f"{what}: {name}", file=sys.stderr, flush=True)
            try:
                act(name)
            except PeerError as error:
                one.failure = str(error)
                print(f"{name} is out: {error}", file=sys.stderr, flush=True)

    # what one is told

    def epoch(self, client: Client, found: Found) -> None:
        answer = client.ask("epoch", limit=None)
        if answer["sequences"] != self.data.num_users:
            raise PeerError(
                f"an epoch trained on {answer['sequences']} sequences, not {self.data.num_users}"
            )
        found.facts.update(parameters=answer.get("parameters", found.facts.get("parameters")))
        found.epochs.append(answer)

    def validate(self, client: Client, found: Found) -> None:
        answer = client.ask("validate")
        if answer["users"] != self.data.num_users:
            raise PeerError(f"validated {answer['users']} users, not {self.data.num_users}")
        found.validations.append(answer)

    def recommend(self, client: Client, found: Found) -> None:
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            out = Path(folder) / "lists.npy"
            answer = client.ask("recommend", out=str(out))
            lists = np.load(out)
        require_sound(lists, self.data)
        found.recommendations.append({**answer, **score(lists, self.data.valid)})

    def equal_time(self, name: str, found: Found, seconds: float) -> None:
        """A fresh start, then training for so long; only time in training counts."""
        with self._client(name, found, "equal") as client:
            self._prepare(client, found)
            answers = list(slices(client, seconds))
            self.recommend(client, alone := Found(found.entrant))
        num_steps = sum(answer["steps"] for answer in answers)
        found.equal_time = {
            **alone.recommendations[0],
            "epochs": sum(answer["sequences"] for answer in answers) / self.data.num_users,
            "steps": num_steps,
            "trained": sum(answer["seconds"] for answer in answers if answer["steps"]),
        }

    @property
    def _arrays(self) -> Path:
        return self.scratch / "data.npz"

    def _client(self, name: str, found: Found, purpose: str) -> Client:
        python = python_of(found.entrant.library, self.venvs)
        found.versions = shown_versions(python, found.entrant.library)
        folder = self.scratch / purpose / name
        return Client(found.entrant, python, folder, threads=self.settings.threads)

    def _prepare(self, client: Client, found: Found) -> dict[str, Any]:
        settings = dataclasses.replace(self.settings, options=found.entrant.options)
        return client.prepare(self._arrays, settings)


def peak(client: Client, found: Found) -> None:
    found.peaks = client.ask("peak")


def slices(client: Client, seconds: float) -> Iterator[dict[str, Any]]:
    """Epochs until the time is over, the last one cut short where the library can."""
    left = seconds
    while left > 0:
        answer = client.ask("epoch", limit=left)
        left -= answer["seconds"]
        yield answer
