"""From members to the ensemble folder, its report, and its metrics beside the single checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtune.core.config import EnsembleConfig
from seqtune.core.ensemble import Ensemble, ensemble_fingerprint, open_ensemble
from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.task import Report, TrainingData
from seqtune.pipelines._test_ledger import ScoredEnsemble
from seqtune.pipelines.ensemble.members import MemberPlan, PlannedMember
from seqtune.pipelines.ensemble.metrics import describe
from seqtune.pipelines.ensemble.weighing import make_ensemble, refuse_unknown
from seqtune.tasks.recommend import TASK

NewCheckpoint = Callable[..., Path]
PLAN = MemberPlan((), "trials", "the best of all")


@dataclass
class ToyPool:
    """Members are worth what their bytes say; together, what their shares add up to."""

    values: np.ndarray[Any, Any]
    metric: str = "valid ndcg@5"
    num_rows: int = 8
    scales: tuple[str, ...] = ("log_softmax",)

    @property
    def num_members(self) -> int:
        return len(self.values)

    def score(self, weights: Any, *, scale: str, rows: Any = None, decided_on: Any = None) -> float:
        return float(1.0 - ((weights / weights.sum() - self.values) ** 2).sum())

    def decision(self, weights: Any, *, scale: str) -> Mapping[str, Any]:
        return {"shares": weights.tolist()}

    def facts(self) -> Mapping[str, Any]:
        return {"users": self.num_rows}


def toy_task(*shares: float) -> Any:
    """A task whose best weighting is known."""
    return replace(TASK, open_pool=lambda *_, **__: ToyPool(np.array(shares)))


@pytest.fixture
def members(new_checkpoint: NewCheckpoint, tmp_path: Path) -> list[PlannedMember]:
    """Three members whose weights differ."""
    return [
        PlannedMember(
            name=name,
            origin=f"trial {number}",
            fingerprint=name,
            checkpoint=new_checkpoint(
                tmp_path / name, seed=number, weights=name.encode(), score=number / 10
            ),
        )
        for number, name in enumerate(("trained", "second", "third"), start=1)
    ]


@pytest.fixture
def made(members: list[PlannedMember], data: TrainingData, tmp_path: Path) -> tuple[Path, Report]:
    """An ensemble of which one half is the first member and one half the third."""
    settings = EnsembleConfig(weights="greedy")
    return make_ensemble(
        toy_task(0.5, 0.0, 0.5), PLAN, members, data, settings, out=tmp_path / "out"
    )


@pytest.fixture
def ensemble(made: tuple[Path, Report]) -> Ensemble:
    return open_ensemble(made[0])


def test_who_counts_is_in_the_folder_and_who_does_not_is_only_named(ensemble: Ensemble) -> None:
    assert ensemble.member_paths().keys() == ensemble.checkpoints().keys() == {"trained", "third"}
    assert {path.name for path in (ensemble.path / "members").iterdir()} == {"trained", "third"}
    manifest = ensemble.manifest
    assert [member.weight for member in manifest.members] == pytest.approx([0.5, 0.0, 0.5])
    assert [member.score for member in manifest.members] == pytest.approx([0.1, 0.2, 0.3])
    assert (manifest.reference, manifest.method) == ("trained", "greedy")
    assert manifest.findings["pool"] == {"users": 8}


def test_what_else_decides_is_in_the_manifest_and_in_its_fingerprint(
    ensemble: Ensemble, data: TrainingData
) -> None:
    manifest = ensemble.manifest
    assert manifest.decision == {"shares": pytest.approx([0.5, 0.0, 0.5])}
    shares = {member.weights_sha256: member.weight for member in manifest.members}
    known = {"scale": manifest.scale, "data_hash": data.content_hash}
    assert manifest.fingerprint == ensemble_fingerprint(shares, **known, decision=manifest.decision)
    assert manifest.fingerprint != ensemble_fingerprint(shares, **known)


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_weights_of_the_last_epoch_are_compared_before_they_are_taken(
    members: list[PlannedMember], data: TrainingData, tmp_path: Path, damage: str
) -> None:
    assert members[2].checkpoint is not None
    last = members[2].checkpoint / "last.safetensors"
    last.write_bytes(b"other") if damage == "changed" else last.unlink()
    with pytest.raises(ArtifactError, match=r"last\.safetensors"):
        make_ensemble(
            toy_task(0.5, 0.0, 0.5),
            PLAN,
            members,
            data,
            EnsembleConfig(weights="greedy"),
            out=tmp_path / "out",
        )
    assert not list((tmp_path / "out").rglob("ensemble.json"))


def test_members_take_no_second_room_on_the_disk(
    ensemble: Ensemble, members: list[PlannedMember]
) -> None:
    assert members[0].checkpoint is not None
    original = members[0].checkpoint / "best.safetensors"
    assert original.samefile(ensemble.path / "members/trained/best.safetensors")


def test_the_report_says_who_counts_how_much_and_why(made: tuple[Path, Report]) -> None:
    _, report = made
    assert report["headline"][0] == "2 of 3 members count (greedy, on the scale log_softmax)"
    assert report["headline"][1] == report["reason"]
    assert report["headline"][2:] == ["50% trial 1", "50% trial 3"]
    assert [member["name"] for member in report["members"]] == ["trained", "second", "third"]
    assert {row["method"] for row in report["rows"]} == {"single", "greedy"}
    assert report["why_these"] == "the best of all"
    json.dumps(report)


def test_the_fingerprint_goes_by_the_shares(
    members: list[PlannedMember], data: TrainingData, tmp_path: Path, ensemble: Ensemble
) -> None:
    prints = {ensemble.manifest.fingerprint}
    for number, shares in enumerate([(0.5, 0.0, 0.5), (1.0, 0.0, 0.0)]):
        path, _ = make_ensemble(
            toy_task(*shares),
            PLAN,
            members,
            data,
            EnsembleConfig(weights="greedy"),
            out=tmp_path / f"again-{number}",
        )
        prints.add(open_ensemble(path).manifest.fingerprint)
    assert len(prints) == 2


def test_one_member_alone_is_an_ensemble_too(
    members: list[PlannedMember], data: TrainingData, tmp_path: Path
) -> None:
    path, _ = make_ensemble(
        toy_task(1.0), PLAN, members[:1], data, EnsembleConfig(), out=tmp_path / "out"
    )
    manifest = open_ensemble(path).manifest
    assert manifest.method == "single"
    assert [member.weight for member in manifest.used] == [1.0]


def test_the_same_model_twice_counts_once(
    members: list[PlannedMember], new_checkpoint: NewCheckpoint, data: TrainingData, tmp_path: Path
) -> None:
    twin = new_checkpoint(tmp_path / "twin", seed=9, weights=b"trained")
    both = [members[0], replace(members[1], checkpoint=twin)]
    path, report = make_ensemble(
        toy_task(1.0), PLAN, both, data, EnsembleConfig(), out=tmp_path / "out"
    )
    assert [member["name"] for member in report["members"]] == ["trained"]
    assert (path / "members" / "trained").is_dir()


def test_with_nothing_held_out_all_count_the_same_and_that_is_said(
    members: list[PlannedMember], full_split: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = TASK.open_data(full_split)
    known = [replace(member, known_score=0.7) for member in members]
    path, report = make_ensemble(TASK, PLAN, known, data, EnsembleConfig(), out=tmp_path / "out")
    manifest = open_ensemble(path).manifest
    assert [member.weight for member in manifest.used] == pytest.approx([1 / 3] * 3)
    assert (manifest.method, manifest.scale) == ("uniform", "log_softmax")
    assert "every member counts the same" in report["reason"]
    assert "every member counts the same" in caplog.text


def test_what_nobody_could_be_weighed_by_is_refused_before_anything_is_trained(
    data: TrainingData, full_split: Path
) -> None:
    refuse_unknown(TASK, EnsembleConfig(scale="ranks", weights="simplex"), data)
    refuse_unknown(TASK, EnsembleConfig(weights="uniform"), TASK.open_data(full_split))
    wrong = EnsembleConfig(scale="logsoftmax", weights="simplex")
    with pytest.raises(ConfigurationError) as caught:
        refuse_unknown(TASK, wrong, TASK.open_data(full_split))
    assert "'logsoftmax' is not a scale of recommend; choose one of auto" in caught.value.faults[0]
    assert "ensemble.weights=simplex needs held-out data" in caught.value.faults[1]


def test_the_task_names_the_scales_that_it_has() -> None:
    from seqtune.tasks.recommend.score_normalization import SCALES

    assert TASK.scales == SCALES


# ---- metrics ---------------------------------------------------------------------------------


def metrics(value: float, **changed: Any) -> Report:
    row = {"model": value, "popularity": 0.1}
    part = {"users": 3, "verdict": "fine", "full_ranking": {"ndcg@5": row}}
    parts = {"valid": part, "test": part}
    return {"fingerprint": "trained", "data_hash": "d", "parts": parts, **changed}


def test_the_ensemble_stands_beside_the_single_checkpoint(ensemble: Ensemble) -> None:
    ours = metrics(0.1234, headline=["test: fine"])
    report = describe(ScoredEnsemble(ours, from_store=False, openings=1), ensemble, metrics(0.12))
    assert report["headline"] == [
        "valid ndcg@5: ensemble 0.1234, single checkpoint 0.1200 (+0.0034)",
        "test ndcg@5: ensemble 0.1234, single checkpoint 0.1200 (+0.0034)",
        "test: fine",
    ]
    assert report["parts"] == ours["parts"]
    assert report["test_read_from_store"] is False
    assert report["test_openings"] == 1


@pytest.mark.parametrize(
    ("single", "why"),
    [
        (None, "there are no metrics of the single checkpoint"),
        (metrics(0.5, fingerprint="other"), "those of another checkpoint"),
        (metrics(0.5, data_hash="other"), "of other data"),
        (metrics(0.5, parts={}), "ndcg@5 is not among the metrics of both"),
    ],
)
def test_what_cannot_be_compared_is_not(
    ensemble: Ensemble, single: Report | None, why: str
) -> None:
    report = describe(ScoredEnsemble(metrics(0.6), from_store=False, openings=1), ensemble, single)
    (line,) = report["headline"]
    assert line.startswith("not set beside the single checkpoint: ")
    assert why in line
    assert report["beside_single"]["parts"] == {}


def test_a_second_ensemble_on_the_same_test_is_warned_of(ensemble: Ensemble) -> None:
    scored = ScoredEnsemble(
        metrics(0.6), from_store=True, openings=2, when="2026-01-01T00:00:00+00:00"
    )
    lines = describe(scored, ensemble, None)["headline"]
    assert "test was scored before (2026-01-01T00:00:00+00:00): that result is reused" in lines[1]
    assert "2 different ensembles were scored on this test set" in lines[2]
