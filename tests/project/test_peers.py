"""The comparison with other libraries: its own logic, with servers that only pretend to train."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

FAKE = """
import sys
sys.path.insert(0, {peers!r})
import numpy as np
from _serving import serve

class Fake:
    def __init__(self, data, settings):
        self.data, self.fault, self.loss = data, settings.options.get("fault"), 4.0

    def facts(self):
        print("this is no answer")
        return {{"parameters": 7, "items": len(self.data.catalogue)}}

    def epoch(self, limit):
        if self.fault == "raises":
            raise ValueError("no\\n  room")
        if self.fault == "dies":
            print("last words", file=sys.stderr)
            sys.stderr.flush()
            import os; os._exit(3)
        self.loss /= 2
        num = self.data.num_users - (self.fault == "skips a user")
        return {{"seconds": 0.4, "loss": self.loss, "steps": 1, "sequences": num}}

    def validate(self):
        return {{"ndcg@10": 0.5, "hit@10": 0.75, "users": self.data.num_users}}

    def recommend(self):
        return "lists"

    def lists(self, recommended):
        unseen = [np.setdiff1d(self.data.catalogue, seen)[:10] for seen in self.data.train()]
        return np.array([self.data.catalogue[:10]] * 4 if self.fault == "seen" else unseen)

serve(Fake)
"""


@pytest.fixture
def peers(repository: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules of `benchmarks/peers`, which is no part of what is installed."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    from peers import _serving, environments, errors, page, race, roster, work

    return SimpleNamespace(
        serving=_serving,
        environments=environments,
        error=errors.PeerError,
        page=page,
        race=race,
        roster=roster,
        work=work,
    )


@pytest.fixture
def data(peers: SimpleNamespace) -> Any:
    """Four users of 3, 5, 8 and 12 items out of 27."""
    items = [10, 20, 30, 40, 10, 50, 60, 70, *range(80, 88), *range(90, 102)]
    return peers.serving.Data(np.array(items), np.array([0, 3, 8, 16, 28]))


def test_parts_of_the_data(peers: SimpleNamespace, data: Any) -> None:
    assert [list(seen) for seen in data.train()[:2]] == [[10], [40, 10, 50]]
    assert list(data.valid) == [20, 60, 86, 100]
    assert peers.work.real_tokens(data, 8) == 1 + 3 + 6 + 8


def test_score_of_lists(peers: SimpleNamespace) -> None:
    lists = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])

    found = peers.work.score(lists, np.array([2, 4, 1]))

    assert found == {
        "ndcg@10": pytest.approx((1 / np.log2(3) + 1) / 3),
        "hit@10": pytest.approx(2 / 3),
    }


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ([10, *range(80, 87), 90, 91], "the lists of 1 users hold items that they have seen"),
        ([20, 20, *range(80, 87), 90], "a list holds an item twice"),
        ([21, *range(80, 87), 90, 91], "a list holds what is no item"),
    ],
)
def test_unsound_lists(peers: SimpleNamespace, data: Any, first: list[int], message: str) -> None:
    unseen = [np.setdiff1d(data.catalogue, seen)[:10] for seen in data.train()]
    peers.work.require_sound(np.array(unseen), data)

    with pytest.raises(peers.error, match=message):
        peers.work.require_sound(np.array([first, *unseen[1:]]), data)


def test_equal_time_asks_for_what_is_left(peers: SimpleNamespace) -> None:
    limits: list[float] = []

    def ask(_command: str, *, limit: float) -> dict[str, float]:
        limits.append(limit)
        return {"seconds": 4.0}

    assert len(list(peers.race.slices(SimpleNamespace(ask=ask), 10.0))) == 3
    assert limits == [10.0, 6.0, 2.0]


def test_stopwatch_ends_an_epoch_that_is_over_time(peers: SimpleNamespace) -> None:
    watch = peers.serving.Stopwatch()
    module = SimpleNamespace()
    watch.attach(module)

    watch.arm(None)
    module.on_train_epoch_start()
    assert module.on_train_batch_start({"x": [[1], [2]]}, 0) is None
    module.on_train_epoch_end()
    assert watch.answer(1.5) == {
        "seconds": watch.seconds,
        "loss": 1.5,
        "steps": 1,
        "sequences": 2,
    }

    watch.arm(-1.0)
    module.on_train_epoch_start()
    assert module.on_train_batch_start([[1], [2]], 0) == peers.serving.SKIP_THE_REST
    assert watch.sequences == 0


def entrants(peers: SimpleNamespace, script: Path) -> dict[str, Any]:
    class Fake(peers.roster.Entrant):  # type: ignore[name-defined,misc]
        server = property(lambda self: script)

    faults = ["", "raises", "dies", "skips a user", "seen"]
    return {
        fault or "sound": Fake(fault or "sound", peers.roster.OURS, "fp32", {"fault": fault})
        for fault in faults
    }


def test_race(peers: SimpleNamespace, data: Any, repository: Path, tmp_path: Path) -> None:
    script = tmp_path / "fake.py"
    script.write_text(FAKE.format(peers=str(repository / "benchmarks" / "peers")))
    race = peers.race.Race(data, peers.serving.Settings(), tmp_path, 2, tmp_path / "scratch")
    race.scratch.mkdir()

    found = race.run(entrants(peers, script), equal_seconds=1.0)

    assert {name: one.failure for name, one in found.items()} == {
        "sound": "",
        "raises": "epoch: ValueError: no room",
        "dies": "ended at epoch: exit code 3; last words",
        "skips a user": "an epoch trained on 3 sequences, not 4",
        "seen": "the lists of 3 users hold items that they have seen",
    }
    sound = found["sound"]
    assert [answer["loss"] for answer in sound.epochs] == [2.0, 1.0, 0.5]  # a warm-up and two
    assert len(sound.validations) == len(sound.recommendations) == 3
    assert sound.peaks["peak_mib"] > 1
    assert (sound.equal_time["epochs"], sound.equal_time["steps"]) == (3, 3)
    assert_page(peers, found)


def assert_page(peers: SimpleNamespace, found: dict[str, Any]) -> None:
    from _harness import Report

    report = Report("peers", title="x", facts=[])
    peers.page.write_tables(report, found, tokens=14, minutes=1, num_users=4)
    page = report.markdown()

    assert "| sound | fp32 | 0.4 ± 0 s (n=2) | 1.00 | 35 |" in page
    assert "| sound | 7 | 27 | 1 | 4 | 2.000 → 0.500 (3 epochs) | 0.5000 / 0.7500 |" in page
    assert "- dies: ended at epoch: exit code 3; last words" in page
    assert len({line.count("|") for line in page.splitlines() if line.startswith("| dies")}) == 3


def test_names_of_entrants(peers: SimpleNamespace) -> None:
    assert list(peers.roster.chosen("recbole,ours")) == ["recbole", "ours"]
    assert peers.roster.chosen("all") == peers.roster.ENTRANTS
    assert set(peers.roster.BY_DEFAULT) < set(peers.roster.ENTRANTS)
    with pytest.raises(ValueError, match="--peers surprise: nobody has that name; choose from all"):
        peers.roster.chosen("ours,surprise")


def test_environments_are_pinned(peers: SimpleNamespace, tmp_path: Path) -> None:
    pins = {name: peers.environments.pinned(name) for name in peers.roster.LIBRARIES}

    assert pins == {"recbole": "1.2.1", "rectools": "0.19.0", "replay": "0.22.0"}
    assert not peers.environments.is_complete(tmp_path / "bin" / "python", "recbole")
    assert not peers.environments.is_complete(Path(sys.executable), "recbole")


def test_what_cannot_be_installed_says_so(
    peers: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "looked\nERROR: nothing found\n")

    monkeypatch.setattr(peers.environments.subprocess, "run", refuse)
    with pytest.raises(peers.error, match="replay could not be installed: ERROR: nothing found"):
        peers.environments.python_of("replay", tmp_path)


@pytest.mark.slow
def test_our_own_server(peers: SimpleNamespace, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    users = [random.permutation(40)[: random.integers(6, 30)] * 3 for _ in range(50)]
    offsets = np.concatenate([[0], np.cumsum([len(user) for user in users])])
    data = peers.serving.Data(np.concatenate(users), offsets)
    settings = peers.serving.Settings(hidden=8, length=16, batch=16)
    (tmp_path / "scratch").mkdir()
    race = peers.race.Race(data, settings, tmp_path, 1, tmp_path / "scratch")

    found = race.run(peers.roster.chosen("ours-fp32"), equal_seconds=0.0)["ours-fp32"]

    assert found.failure == ""
    assert [answer["sequences"] for answer in found.epochs] == [50, 50]
    assert all(np.isfinite(answer["loss"]) for answer in found.epochs)
    # its own validation and its lists agree
    own, lists = found.validations[0], found.recommendations[0]
    assert (own["ndcg@10"], own["hit@10"]) == pytest.approx((lists["ndcg@10"], lists["hit@10"]))
