"""Baselines as members: which join, how they are kept, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.config import EnsembleConfig
from seqtune.core.ensemble import open_ensemble
from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.task import TrainingData
from seqtune.pipelines.ensemble.baselines import baselines_to_weigh, fit_baseline
from seqtune.pipelines.ensemble.member_selection import MemberSelector
from seqtune.pipelines.ensemble.members import MemberPlan, PlannedMember
from seqtune.pipelines.ensemble.weighing import make_ensemble, refuse_unknown
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.ensemble import open_model
from seqtune.tasks.recommend.params import RecommendConfig

from .test_weighing import toy_task

Choose = Callable[..., MemberSelector]
ALL = ("item_to_item", "markov")


def test_baselines_join_after_the_trained_members_and_beside_the_number_asked_for(
    choose: Choose,
) -> None:
    plan = choose(top=2, baselines="auto").choose()

    assert [member.name for member in plan.members[2:]] == list(ALL)
    assert [member.origin for member in plan.members[2:]] == [
        f"the baseline {name}" for name in ALL
    ]
    assert plan.why.endswith("; beside them the baselines item_to_item, markov")
    assert len({member.fingerprint for member in plan.members}) == 4


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ALL),
        ({"weights": "simplex"}, ALL),
        ({"weights": "single"}, ()),
        ({"weights": "uniform"}, ()),
        ({"baselines": "none"}, ()),
        ({"baselines": ["markov", "markov"]}, ("markov",)),
        ({"baselines": ["markov"], "weights": "single"}, ("markov",)),
    ],
)
def test_auto_is_all_of_them_where_weights_are_searched(
    data: TrainingData, settings: dict[str, Any], expected: tuple[str, ...]
) -> None:
    config = EnsembleConfig(**settings)
    assert tuple(baselines_to_weigh(TASK, config, data, RecommendConfig())) == expected


@pytest.mark.parametrize("share", [0.6, "auto"])
def test_counts_that_the_model_holds_join_only_by_name(data: TrainingData, share: object) -> None:
    model = {"architecture": "transformer", "item_to_item": share}
    config = RecommendConfig.model_validate({"model": model})
    assert baselines_to_weigh(TASK, EnsembleConfig(), data, config) == ()
    named = EnsembleConfig(baselines=("markov",))
    assert baselines_to_weigh(TASK, named, data, config) == ("markov",)


def test_with_nothing_held_out_none_joins_and_named_ones_are_refused(full_split: Path) -> None:
    data = TASK.open_data(full_split)
    assert baselines_to_weigh(TASK, EnsembleConfig(), data, RecommendConfig()) == ()
    with pytest.raises(ConfigurationError, match=r"baselines=\['markov'\] need held-out data"):
        refuse_unknown(TASK, EnsembleConfig(baselines=("markov",)), data)


def test_wrong_names_are_refused_before_anything_is_trained(data: TrainingData) -> None:
    with pytest.raises(ConfigurationError) as caught:
        refuse_unknown(TASK, EnsembleConfig(baselines=("marcov", "tfidf")), data)
    assert list(caught.value.faults) == [
        "ensemble.baselines: 'marcov' is not a baseline of recommend that can be a member; did "
        "you mean 'markov'?",
        "ensemble.baselines: 'tfidf' is not a baseline of recommend that can be a member; choose "
        "one of item_to_item, markov",
    ]


def test_equal_weights_and_named_baselines_contradict_each_other() -> None:
    with pytest.raises(ValidationError, match="weights=uniform gives baselines no weight"):
        EnsembleConfig(weights="uniform", baselines=("markov",))


def test_a_baseline_is_no_named_checkpoint(
    choose: Choose, data: TrainingData, tmp_path: Path
) -> None:
    member = choose(top=1, baselines=("markov",)).choose().members[1]
    folder = fit_baseline(TASK, member, data, tmp_path / "fitted")
    with pytest.raises(ConfigurationError, match=r"name it in ensemble\.baselines \(\[markov\]\)"):
        choose(members="checkpoints", checkpoints=(str(folder),)).choose()


def test_counts_are_log_probabilities_and_are_not_explained(
    choose: Choose, data: TrainingData, tmp_path: Path
) -> None:
    member = choose(top=1, baselines=("item_to_item",)).choose().members[1]
    scorer = open_model(fit_baseline(TASK, member, data, tmp_path / "fitted"))
    scores = scorer.scores(torch.tensor([[1, 2, scorer.num_items + 1]]))
    assert scores.isfinite().all()
    assert float(scores.exp().sum()) == pytest.approx(1.0)
    with pytest.raises(ConfigurationError, match=r"has only baselines .* Explain a trained check"):
        scorer.heaviest()


def test_if_only_baselines_have_a_weight_that_is_said_aloud(
    choose: Choose,
    trained: Path,
    data: TrainingData,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plan = choose(top=1, baselines=("markov",)).choose()
    folder = fit_baseline(TASK, plan.members[1], data, tmp_path / "fitted")
    first, second = plan.members
    members = [
        first,
        PlannedMember(second.name, second.origin, second.fingerprint, checkpoint=folder),
    ]
    task, settings = toy_task(0.0, 1.0), EnsembleConfig()
    path, report = make_ensemble(
        task, MemberPlan((), "seeds", ""), members, data, settings, out=tmp_path / "out"
    )
    used = open_ensemble(path).manifest.used
    assert [(member.name, member.kind) for member in used] == [("markov", "baseline")]
    line = "only baselines have a weight: on valid the trained networks add nothing to markov."
    assert report["headline"][2].startswith(line)
    assert line in caplog.text
    assert [member["kind"] for member in report["members"]] == ["network", "baseline"]
    assert len(report["alone"]) == 2

    (path / "members/markov/best.safetensors").write_bytes(b"other")
    with pytest.raises(ArtifactError, match=r"the content of best\.safetensors is not what was"):
        open_checkpoint(path / "members/markov").weights_path("best")
