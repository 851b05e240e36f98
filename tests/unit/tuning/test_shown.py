"""Which study the dashboard links to."""

from __future__ import annotations

import pytest
from toy_studies import begin, run_one, toy_plan

from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.tuning.studies.dashboard_study import dashboard_study
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.study import open_study


def test_newest_search_with_a_finished_trial_is_shown(sqlite: StorageUrl) -> None:
    quick, medium, rerank = (
        toy_plan(stage=stage) for stage in ("quick", "medium", "medium.rerank")
    )
    begun = open_study(sqlite, quick).study
    run_one(begun, quick)
    begin(open_study(sqlite, medium).study, medium)  # nothing finished yet
    run_one(open_study(sqlite, rerank).study, rerank)  # a list, not a search

    shown = dashboard_study(sqlite, task="toy")

    assert (shown.name, shown.num_finished) == (begun.study_name, 1)

    run_one(open_study(sqlite, medium).study, medium)
    assert dashboard_study(sqlite, task="toy").name.startswith("toy-medium-")


def test_named_study_is_shown_and_a_wrong_name_is_answered(sqlite: StorageUrl) -> None:
    name = open_study(sqlite, toy_plan(stage="test")).study.study_name

    assert dashboard_study(sqlite, task="toy", name=name).num_finished == 0
    with pytest.raises(ConfigurationError, match=rf"no study '{name}x'; did you mean '{name}'\?"):
        dashboard_study(sqlite, task="toy", name=f"{name}x")


def test_before_any_search_the_next_step_is_said_and_no_file_is_made(sqlite: StorageUrl) -> None:
    with pytest.raises(ArtifactError, match=r"Tune first: kedro run --pipelines toy\.tune"):
        dashboard_study(sqlite, task="toy")

    assert sqlite.file is not None
    assert not sqlite.file.exists()


def test_studies_of_another_task_are_not_shown(sqlite: StorageUrl) -> None:
    other = toy_plan(task="other")
    run_one(open_study(sqlite, other).study, other)

    with pytest.raises(ArtifactError, match="no study of toy with a finished trial"):
        dashboard_study(sqlite, task="toy")


def test_values_carry_the_name_of_their_metric(sqlite: StorageUrl) -> None:
    assert open_study(sqlite, toy_plan()).study.metric_names == ["val_score"]
