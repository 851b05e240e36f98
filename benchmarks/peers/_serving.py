"""What every server speaks: one JSON object a line, a command in and an answer out.

Runs in the environments of all peers, so it imports numpy and the standard library only. What a
library prints goes to stderr: stdout belongs to the answers.

    {"command": "prepare", "data": path, "settings": {...}}   -> parameters, items, peak_mib
    {"command": "epoch", "limit": seconds or null}            -> seconds, loss, steps, sequences
    {"command": "validate"}                                   -> seconds, and the library's metrics
    {"command": "recommend", "out": path}                     -> seconds; lists [U, 10] as .npy
    {"command": "peak"}                                       -> peak_mib, and of the GPU where used
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

TOP_K = 10
SKIP_THE_REST = -1
"""What Lightning takes from `on_train_batch_start` to end an epoch early."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """The work: one architecture, one way of training."""

    hidden: int = 64
    layers: int = 2
    heads: int = 2
    length: int = 200
    batch: int = 128
    eval_batch: int = 256
    mask: float = 0.2
    last_item: float = 0.0
    """Share of sequences (ours) or batches (RecBole) of which only the last item is masked."""
    dropout: float = 0.2
    lr: float = 1e-3
    seed: int = 42
    threads: int = 1
    device: str = "cpu"
    options: dict[str, str] = field(default_factory=dict)
    """What only one peer has a use for."""


@dataclass(frozen=True)
class Data:
    """All sequences, one after another, in ids of the file; the last two items are held out."""

    items: np.ndarray  # [N]
    offsets: np.ndarray  # [U + 1]

    @classmethod
    def load(cls, path: str) -> Data:
        with np.load(path) as arrays:
            return cls(arrays["items"], arrays["offsets"])

    def save(self, path: Path) -> None:
        np.savez(path, items=self.items, offsets=self.offsets)

    @property
    def num_users(self) -> int:
        return len(self.offsets) - 1

    @property
    def catalogue(self) -> np.ndarray:
        return np.unique(self.items)

    @property
    def valid(self) -> np.ndarray:
        """The held-out item of each user [U] that validation asks for."""
        held_out: np.ndarray = self.items[self.offsets[1:] - 2]
        return held_out

    def train(self, *, up_to: int = 2) -> list[np.ndarray]:
        """What each user may be trained on, and all that validation (`up_to=1`: test) may see."""
        return [
            self.items[start : end - up_to]
            for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True)
        ]

    def users_and_items(self, *, up_to: int = 2) -> tuple[np.ndarray, np.ndarray]:
        """The training part as two columns."""
        histories = self.train(up_to=up_to)
        lengths = [len(history) for history in histories]
        return np.repeat(np.arange(self.num_users), lengths), np.concatenate(histories)


class Peer(Protocol):
    """A library with its data loaded and its model built."""

    def facts(self) -> Json:
        """`parameters`, and `items` that it can recommend."""

    def epoch(self, limit: float | None) -> Json:
        """Train for an epoch, or until `limit` seconds are over."""

    def validate(self) -> Json:
        """Rank all items for every user, as the library does it: metrics, and `users`."""

    def recommend(self) -> Any:
        """The best ten of every user after the training part, in the library's own form."""

    def lists(self, recommended: Any) -> np.ndarray:
        """That as [U, 10], in ids of the file."""


class Stopwatch:
    """Times one epoch from inside a Lightning module, and counts what is trained on."""

    def __init__(self, synchronize: Callable[[], None] = lambda: None) -> None:
        self._synchronize = synchronize
        self._limit: float | None = None
        self._start = 0.0
        self.seconds = 0.0
        self.steps = 0
        self.sequences = 0

    def arm(self, limit: float | None) -> None:
        self._limit = limit
        self.steps = self.sequences = 0

    def attach(self, module: Any) -> None:
        module.on_train_epoch_start = self.start
        module.on_train_batch_start = self.step
        module.on_train_epoch_end = self.stop

    def start(self) -> None:
        self._start = time.perf_counter()

    def step(self, batch: Any, _number: int = 0) -> int | None:
        if self._limit is not None and time.perf_counter() - self._start > self._limit:
            return SKIP_THE_REST
        self.steps += 1
        self.sequences += num_rows(batch)
        return None

    def stop(self) -> None:
        self._synchronize()
        self.seconds = time.perf_counter() - self._start

    def answer(self, loss: float) -> Json:
        return {
            "seconds": self.seconds,
            "loss": loss,
            "steps": self.steps,
            "sequences": self.sequences,
        }


def num_rows(batch: Any) -> int:
    """Sequences in a batch of any of the libraries."""
    if isinstance(batch, dict):
        return num_rows(next(iter(batch.values())))
    return len(batch)


def synchronizer(device: str) -> Callable[[], None]:
    """Waits until the device has done what it was given."""
    if device != "cuda":
        return lambda: None
    import torch

    return torch.cuda.synchronize


def peaks() -> Json:
    """Highest resident memory of this process so far, and highest allocation on the GPU."""
    status = Path("/proc/self/status").read_text()
    found: Json = {"peak_mib": int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpu_peak_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return found


class Server:
    """Carries out commands; one peer for the life of the process."""

    def __init__(self, build: Callable[[Data, Settings], Peer]) -> None:
        self._build = build
        self._peer: Peer | None = None
        self._synchronize: Callable[[], None] = lambda: None

    def answer(self, request: Json) -> Json:
        command = request.pop("command")
        if command == "prepare":
            return self._prepare(**request)
        if command == "peak":
            return peaks()
        assert self._peer is not None, "prepare comes first"
        if command == "epoch":
            return self._peer.epoch(**request)
        if command == "validate":
            return self._validate()
        return self._recommend(**request)

    def _prepare(self, data: str, settings: Json) -> Json:
        wanted = Settings(**settings)
        self._peer = self._build(Data.load(data), wanted)
        self._synchronize = synchronizer(wanted.device)
        return {**self._peer.facts(), **peaks()}

    def _validate(self) -> Json:
        seconds, found = self._timed(self._peer.validate)  # type: ignore[union-attr]
        return {"seconds": seconds, **found}

    def _recommend(self, out: str) -> Json:
        seconds, found = self._timed(self._peer.recommend)  # type: ignore[union-attr]
        np.save(out, self._peer.lists(found))  # type: ignore[union-attr]
        return {"seconds": seconds}

    def _timed(self, work: Callable[[], Any]) -> tuple[float, Any]:
        start = time.perf_counter()
        found = work()
        self._synchronize()
        return time.perf_counter() - start, found


def serve(build: Callable[[Data, Settings], Peer]) -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.argv[1:] = []  # RecBole reads them
    server = Server(build)
    for line in sys.stdin:
        try:
            answer = server.answer(json.loads(line))
        except Exception as error:  # noqa: BLE001  # whatever a library raises is an answer
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        print(json.dumps(answer), file=answers)
    os._exit(0)  # what a library has left running, such as a training of ours, ends here
