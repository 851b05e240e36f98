"""A small training that ranks share, one of which may be killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

RECOMMEND = str(Path(__file__).resolve().parents[1] / "unit" / "tasks" / "recommend")
if RECOMMEND not in sys.path:
    sys.path.append(RECOMMEND)

from shared_training import Rows, train  # noqa: E402

from seqtune.core.execution import ALONE, RankInfo  # noqa: E402
from seqtune.tasks.recommend.data import SplitData  # noqa: E402

CASE = "causal"
SECONDS = 300.0
"""Two cores run all of this beside other tests."""


@dataclass(frozen=True)
class Training:
    """Trains on the split in its folder, and keeps what each rank says of it."""

    folder: Path
    epochs: int
    killed_rank: int | None = None
    """Killed once, as soon as there is a state to go on from."""

    def __call__(self, place: RankInfo) -> None:
        if place.rank == self.killed_rank and not (self.folder / "killed").exists():
            threading.Thread(target=self._kill, daemon=True).start()
        (self.folder / f"history-{place.rank}.json").write_text(json.dumps(self.train(place)))

    def train(self, place: RankInfo = ALONE) -> Rows:
        data = SplitData.open(self.folder / "split")
        return train(CASE, data, self.folder, place, epochs=self.epochs)

    def history(self, rank: int) -> Rows:
        rows: Rows = json.loads((self.folder / f"history-{rank}.json").read_text())
        return rows

    def states(self) -> list[Path]:
        return list((self.folder / CASE).glob("state-*.ckpt"))

    def wait_for_a_state(self) -> None:
        deadline = time.monotonic() + SECONDS
        while not self.states():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _kill(self) -> None:
        self.wait_for_a_state()
        (self.folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
