"""Who is in an ensemble, and who is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from toy_members import write_checkpoint

from seqtune.core.config import EnsembleConfig, VerifyConfig
from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Layer
from seqtune.pipelines._best_config import BestConfig
from seqtune.pipelines.ensemble.member_selection import MemberSelector
from seqtune.tasks.recommend import TASK

Choose = Callable[..., MemberSelector]
NewCheckpoint = Callable[..., Path]


def typed(parameters: TaskParameters, **values: object) -> TaskParameters:
    return parameters._replace(runtime=Layer("--params", values))


def test_auto_takes_the_best_trials_and_the_trained_checkpoint_is_one_of_them(
    choose: Choose, trials: list[BestConfig], trained: Path
) -> None:
    plan = choose().choose()

    assert plan.kind == "trials"
    assert [member.fingerprint for member in plan.members] == [best.fingerprint for best in trials]
    first = plan.members[0]
    assert (first.name, first.checkpoint) == ("trained", trained)
    assert first.origin == "trial 1 of recommend-medium-1: the trained checkpoint"
    assert plan.members[1].origin == "trial 2 of recommend-medium-1"
    assert plan.members[1].checkpoint is None
    assert plan.why.endswith("there are only 4 of ensemble.top=5")


@pytest.mark.parametrize(("top", "expected"), [(1, 1), (3, 3), (4, 4)])
def test_there_are_as_many_as_were_asked_for(choose: Choose, top: int, expected: int) -> None:
    plan = choose(top=top).choose()

    assert len(plan.members) == expected
    assert "there are only" not in plan.why


def test_a_checkpoint_that_is_no_trial_is_still_the_first(
    choose: Choose, trials: list[BestConfig], new_checkpoint: NewCheckpoint, versions: Path
) -> None:
    other = new_checkpoint(versions / "2026-02-02" / "checkpoint")

    plan = choose(trained=other, top=3).choose()

    assert [member.name.rpartition("-")[0] for member in plan.members[1:]] == ["trial-1", "trial-2"]
    assert plan.members[0].checkpoint == other


def test_auto_takes_seeds_where_there_was_no_tuning(choose: Choose) -> None:
    plan = choose(trials=[]).choose()

    assert plan.kind == "seeds"
    assert "tuning has left no trials (recommend.top_configs)" in plan.why
    seeds = [member.config.seed for member in plan.members[1:] if member.config]
    assert len({42, *seeds}) == 5
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert plan == choose(trials=[]).choose()


def with_presets(parameters: TaskParameters) -> TaskParameters:
    widths = {"narrow": 4, "wide": 16}
    presets = {name: {"model": {"hidden_units": width}} for name, width in widths.items()}
    free = Layer("conf", {"model": {"num_heads": 2, "num_layers": 1, "max_len": 8}})
    return parameters._replace(presets=presets, files=free)


def test_presets_are_one_configuration_each_in_their_order(
    choose: Choose, small_parameters: TaskParameters
) -> None:
    plan = choose(members="presets", parameters=with_presets(small_parameters)).choose()

    assert [member.origin for member in plan.members[1:]] == ["preset narrow", "preset wide"]
    assert [m.config.model.hidden_units for m in plan.members[1:] if m.config] == [4, 16]


def test_presets_can_be_named_and_must_exist(
    choose: Choose, small_parameters: TaskParameters
) -> None:
    parameters = with_presets(small_parameters)
    plan = choose(members="presets", presets=("wide",), parameters=parameters).choose()
    assert [member.name for member in plan.members] == ["trained", "preset-wide"]

    with pytest.raises(ConfigurationError, match="'wid' is not a preset of recommend; did"):
        choose(members="presets", presets=("wid",), parameters=parameters).choose()


def test_seeds_differ_from_the_trained_configuration_in_nothing_else(
    choose: Choose, trained: Path
) -> None:
    chooser = choose(members="seeds")
    plan = chooser.choose()

    then = chooser.trained.manifest.config
    for member in plan.members[1:]:
        assert member.config is not None
        assert {**member.config.model_dump(mode="json"), "seed": then["seed"]} == then


def test_auto_leaves_trials_of_another_split_aside_and_says_so(
    choose: Choose, trials: list[BestConfig]
) -> None:
    other = [best.model_copy(update={"data_hash": "e" * 16}) for best in trials]

    plan = choose(trials=other).choose()

    assert plan.kind == "seeds"
    assert "are of another split (content eeeeeeeeeeee" in plan.why


def test_trials_of_another_split_are_refused_where_they_were_asked_for(
    choose: Choose, trials: list[BestConfig]
) -> None:
    other = [best.model_copy(update={"data_hash": "e" * 16}) for best in trials]
    with pytest.raises(
        ConfigurationError, match=r"members=trials, but the trials .* another split"
    ):
        choose(trials=other, members="trials").choose()


def test_trials_without_tuning_are_refused(choose: Choose) -> None:
    message = r"members=trials, but tuning has left no trials .*--pipelines recommend\.tune"
    with pytest.raises(ConfigurationError, match=message):
        choose(trials=[], members="trials").choose()


def test_tuning_that_is_to_be_ignored_gives_no_members(
    choose: Choose, small_parameters: TaskParameters
) -> None:
    ignoring = small_parameters._replace(best_config="ignore")

    assert choose(parameters=ignoring).choose().kind == "seeds"
    with pytest.raises(ConfigurationError, match=r"recommend\.best_config=ignore ignores tuning"):
        choose(parameters=ignoring, members="trials").choose()


def test_a_trial_that_would_be_another_one_now_is_refused_by_name(
    choose: Choose, small_parameters: TaskParameters
) -> None:
    changed = typed(small_parameters, training={"weight_decay": 0.5})
    with pytest.raises(ConfigurationError) as caught:
        choose(parameters=changed).choose()
    assert "recommend.training.weight_decay" in caught.value.faults[0]
    assert "would not reproduce trial 1" in caught.value.faults[-1]


def test_a_trial_that_would_be_another_one_is_taken_where_that_was_asked_for(
    choose: Choose, small_parameters: TaskParameters, trials: list[BestConfig]
) -> None:
    changed = typed(small_parameters, training={"weight_decay": 0.5})

    plan = choose(parameters=changed, verify=VerifyConfig(on_mismatch="warn")).choose()

    assert {best.fingerprint for best in trials}.isdisjoint(
        member.fingerprint for member in plan.members[1:]
    )


def test_what_seeds_cannot_heed_is_refused(
    choose: Choose, small_parameters: TaskParameters
) -> None:
    changed = typed(small_parameters, training={"epochs": 9})
    with pytest.raises(ConfigurationError, match=r"recommend\.training\.epochs=9 \(--params\) has"):
        choose(parameters=changed, members="seeds").choose()


def test_named_checkpoints_are_folders_or_versions(
    choose: Choose, new_checkpoint: NewCheckpoint, versions: Path, tmp_path: Path
) -> None:
    version = new_checkpoint(versions / "2025-12-31" / "checkpoint", seed=7)
    folder = new_checkpoint(tmp_path / "mine", seed=8)

    plan = choose(members="checkpoints", checkpoints=["2025-12-31", str(folder)]).choose()

    assert [member.checkpoint for member in plan.members[1:]] == [version, folder]
    assert [member.name for member in plan.members] == ["trained", "checkpoint-1", "checkpoint-2"]


def test_a_named_checkpoint_that_is_the_trained_one_counts_once(
    choose: Choose, trained: Path
) -> None:
    plan = choose(members="checkpoints", checkpoints=[str(trained)]).choose()

    (member,) = plan.members
    assert member.name == "trained"


def test_everything_wrong_with_named_checkpoints_is_told_at_once(
    choose: Choose, new_checkpoint: NewCheckpoint, tmp_path: Path
) -> None:
    other_task = new_checkpoint(tmp_path / "a", task="classify")
    other_items = new_checkpoint(tmp_path / "b", assets_hash="w" * 8)
    other_split = new_checkpoint(tmp_path / "c", data_hash="s" * 8)
    named = ["2020-02-02", *map(str, (other_task, other_items, other_split))]
    with pytest.raises(ConfigurationError) as caught:
        choose(members="checkpoints", checkpoints=named).choose()
    faults = caught.value.faults
    assert len(faults) == 4
    assert "'2020-02-02' is neither the folder of a checkpoint" in faults[0]
    assert faults[0].endswith("which has 2026-01-01")
    assert "belongs to the task classify, not to recommend" in faults[1]
    assert "was trained on another data set" in faults[2]
    assert "was trained on another split" in faults[3]


def test_a_trained_checkpoint_of_another_split_is_refused(
    choose: Choose, new_checkpoint: NewCheckpoint, versions: Path
) -> None:
    other = new_checkpoint(versions / "2026-03-03" / "checkpoint", data_hash="s" * 8)
    with pytest.raises(ArtifactError, match=r"was trained on another split .*recommend\.train`"):
        choose(trained=other).choose()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"members": "checkpoints"}, "members=checkpoints needs at least one"),
        ({"checkpoints": ["x"]}, "members=auto does not take them"),
        ({"members": "seeds", "checkpoints": ["x"]}, "members=seeds does not take them"),
    ],
)
def test_names_and_members_belong_together(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EnsembleConfig(**values)


def test_training_on_everything_takes_the_epochs_that_each_trial_found_best(
    choose: Choose,
    trials: list[BestConfig],
    full_split: Path,
    small_parameters: TaskParameters,
    versions: Path,
) -> None:
    full = small_parameters._replace(
        files=Layer("conf", {**small_parameters.files.values, "split": {"use_full_data": True}})
    )
    data = TASK.open_data(full_split)
    best = [
        one.model_copy(
            update={
                "best_epoch": number,
                "environment": {
                    **one.environment,
                    "split.use_full_data": {"value": False, "origin": "default"},
                },
            }
        )
        for number, one in enumerate(trials, start=1)
    ]
    config = full.resolve("none", best=best[0].layer).config
    trained = write_checkpoint(versions / "2026-04-04" / "checkpoint", config, data, score=None)

    plan = choose(parameters=full, data=data, trials=best, trained=trained).choose()

    epochs = [member.config.training.epochs for member in plan.members[1:] if member.config]
    assert epochs == [1, 2, 3, 4]
    assert plan.members[1].known_score == pytest.approx(0.8)


def test_of_trials_with_the_same_weights_one_is_a_member(choose: Choose) -> None:
    """As if training did not read what these trials differ in."""
    chooser = choose()
    alike = replace(chooser, task=replace(TASK, after_training=("training",)))

    plan = alike.choose()

    assert [member.name for member in plan.members] == ["trained"]
    assert "there are only 1" in plan.why
