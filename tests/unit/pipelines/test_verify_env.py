"""verify_env: every seeded fault is caught and named, and equal sides are proved equal."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

import psutil
import pytest

from seqtune.core.config import RunConfig, VerifyConfig, fingerprint, library_versions
from seqtune.core.errors import ConfigurationError
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Layer, Resolved, flatten, resolve
from seqtune.core.verification import Check, counted, failures
from seqtune.pipelines._best_config import BestConfig
from seqtune.pipelines._resolution import trial_values
from seqtune.pipelines.verify_env import create_pipeline
from seqtune.pipelines.verify_env.comparison import RunSteps, StepResults, prove
from seqtune.pipelines.verify_env.environment_checks import disk_space, held_out, imports, locked
from seqtune.pipelines.verify_env.nodes import VerifyNodes, conclude
from seqtune.pipelines.verify_env.paths import TuningPath, reference
from seqtune.pipelines.verify_env.values import check_best, compare_values, table_of_both
from seqtune.pipelines.verify_env.verify import ComparedPaths, VerifyPaths, verify
from seqtune.reporting.page import verify_page
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.tuning.parameters import TuningParameters

LEAVES = dict(flatten(RecommendConfig().model_dump()))
FITTING = {
    "ingest.delimiter": ";",
    "ingest.null_values": (),
    "model.side_embeddings": ("genre",),
    "split.test_items": 0,
    "training.start_from": "a folder",
    "training.max_minutes": 5.0,
    "training.num_threads": 3,
}
"""Other values of those that are null, bounded on both sides, or one of several kinds."""


CHANGEABLE = [key for key in LEAVES if key != "model.architecture"]
"""Another architecture has other parameters, so it cannot change alone."""


def other(key: str, value: Any) -> Any:
    """A valid value that is not the present one, by its type."""
    names = [name for name in _choices(key) if name != value]
    if key in FITTING or names:
        return FITTING.get(key, names[0] if names else None)
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (*value, value[-1] + 1) if value else ("user", "item")
    if isinstance(value, str):
        return f"{value}_too"
    if isinstance(value, float):
        return value / 2 or 0.25
    return (value or 0) * 2 or 1


def _choices(key: str) -> tuple[Any, ...]:
    node: Any = RecommendConfig
    for part in key.split("."):
        node = node.model_fields[part].annotation
        node = node.variant({}) if hasattr(node, "variant") else node
    return (
        get_args(node) if get_origin(node) is not None and str in map(type, get_args(node)) else ()
    )


def resolved(values: dict[str, Any] | None = None, origin: str = "conf") -> Resolved[Any]:
    return resolve(RecommendConfig, Layer(origin, values or {}), root="recommend")


COMPANIONS: dict[str, dict[str, Any]] = {
    "ingest.header": {"ingest": {"file_columns": ("user", "item", "time")}},
    "model.lazy_embeddings": {"model": {"num_negatives": 8}},
}
"""What some parameters need of others to take another value."""


def unchanged(key: str) -> Resolved[Any]:
    return resolved(COMPANIONS.get(key))


def changed(key: str) -> Resolved[Any]:
    return unchanged(key).replace(key, other(key, LEAVES[key]), origin="--params")


@pytest.mark.parametrize("key", CHANGEABLE)
def test_any_single_value_that_differs_is_caught_and_named(key: str) -> None:
    checks = compare_values(unchanged(key).table(), changed(key).table(), task="recommend")
    faults = "\n".join(failures(checks))
    assert f"recommend.{key}: tuning has " in faults
    assert "(default), training has " in faults
    assert "(--params); " in faults
    assert counted(checks)["fail"] == 1


def test_every_leaf_there_is_was_changed() -> None:
    assert len(CHANGEABLE) > 50
    assert all(changed(key).table()[key]["value"] is not None for key in CHANGEABLE)


def test_another_architecture_is_named_with_the_parameters_that_it_lacks() -> None:
    other = resolved({"model": {"architecture": "gru4rec"}}, origin="--params")
    faults = failures(compare_values(resolved().table(), other.table(), task="recommend"))
    assert any(
        'recommend.model.architecture: tuning has "transformer"' in fault for fault in faults
    )
    assert any("recommend.model.num_heads: tuning has 8" in fault for fault in faults)


def test_a_default_that_nobody_set_is_caught() -> None:
    """Somebody's version of the code has another default, and a parameter more."""

    class Other(RecommendConfig):
        seed: int = 43
        novelty: int = 1

    theirs = resolve(Other, Layer("conf", {}), root="recommend").table()
    faults = "\n".join(failures(compare_values(resolved().table(), theirs, task="recommend")))
    assert "recommend.seed: tuning has 42 (default), training has 43 (default)" in faults
    assert "recommend.novelty: tuning has no such key, training has 1 (default)" in faults


def test_equal_values_pass_and_are_said_by_subject() -> None:
    checks = compare_values(resolved().table(), resolved().table(), task="recommend")
    assert counted(checks)["fail"] == 0
    told = {check.name: check.message for check in checks}
    assert told["early stopping"] == "patience 10, min_delta 0.0 on both sides"
    assert told["seed"] == "seed 42 on both sides"
    assert "use_full_data false" in told["split"]
    number = len(LEAVES) - sum(len(message.split(", ")) for message in list(told.values())[:-1])
    assert told["every other value"].startswith(f"{number} equal, {number} of them defaults")


# the surroundings


def test_packages_that_cannot_be_imported_are_named() -> None:
    assert imports().status == "ok"
    found = imports(["json", "no_such_package"])
    assert (found.status, "no_such_package (No module named" in found.message) == ("fail", True)


def test_versions_are_compared_with_the_lock(tmp_path: Path, repository: Path) -> None:
    assert locked(repository / "requirements.lock").status == "ok"
    assert locked(tmp_path / "none.lock").status == "warn"
    lock = tmp_path / "requirements.lock"
    lock.write_text("# a comment\nnumpy==0.0.1  # old\ntorch==0.0.2\n")
    found = locked(lock)
    assert found.status == "warn"
    assert "numpy" in found.message
    assert "(tested with 0.0.1)" in found.message


def test_a_disk_that_a_run_would_fill_stops_it(tmp_path: Path) -> None:
    assert disk_space(tmp_path, model_mib=1e9).status == "fail"
    assert "a run takes up to" in disk_space(tmp_path, model_mib=1e9).message


def test_a_split_without_validation_is_a_warning(split_folder: Path, full_split: Path) -> None:
    data, full = TASK.open_data(split_folder), TASK.open_data(full_split)
    assert held_out(data, name="split", use_full_data=False).status == "ok"
    found = held_out(full, name="split", use_full_data=True)
    assert (found.status, "set split.use_full_data: false" in found.fix) == ("warn", True)


# the proof


def test_losses_that_differ_in_the_last_bit_are_no_proof() -> None:
    third = 0.1 + 0.2
    found = prove(StepResults((1.0, third)), StepResults((1.0, 0.3)))
    assert found.status == "fail"
    assert "from step 2 on" in found.message
    assert "1.0, 0.30000000000000004 against 1.0, 0.3" in found.message
    assert prove(StepResults((1.0, third)), StepResults((1.0, third))).status == "ok"
    assert "from step 2" in prove(StepResults((1.0, 2.0)), StepResults((1.0,))).message


def test_a_side_that_cannot_run_is_named() -> None:
    found = prove(StepResults((1.0,)), StepResults(error="it broke"))
    assert (found.status, found.message) == ("fail", "training cannot take a step: it broke")


Checked = Callable[..., dict[str, Any]]


@pytest.fixture
def checked(
    split_folder: Path,
    tmp_path: Path,
    small_parameters: TaskParameters,
    small_tuning: TuningParameters,
    repository: Path,
) -> Checked:
    """`checked(change)`: the report where `change` was done to the training side."""
    data = TASK.open_data(split_folder)
    trial = reference(TASK, small_parameters, data, small_tuning.spaces["medium"])
    profile_steps = RunSteps(TASK, split_folder, tmp_path / "scratch", 2)
    (tmp_path / "scratch").mkdir()
    place = VerifyPaths(str(split_folder), tmp_path / "scratch", repository / "requirements.lock")

    def check(
        change: Callable[[Resolved[Any]], Resolved[Any]] = lambda same: same,
        run: Callable[[RunConfig], StepResults] = profile_steps,
    ) -> dict[str, Any]:
        training = trial.resolve_as_training
        sides = ComparedPaths(trial, lambda: change(training()), profile_steps, run)
        return verify(TASK, data, sides, place=place)

    return check


def test_the_classic_mismatch_is_found_without_a_difference_in_the_losses(checked: Checked) -> None:
    patience = "training.early_stopping.patience"
    report = checked(lambda side: side.replace(patience, 5, origin="conf/local"))
    (failed,) = [check for check in report["checks"] if check["status"] == "fail"]
    assert failed["name"] == "early stopping"
    assert f"recommend.{patience}: tuning has 10 (default), training has 5" in failed["message"]
    assert "NOT the same" in report["headline"][0]


def test_a_value_that_changes_the_losses_fails_the_proof_too(checked: Checked) -> None:
    report = checked(lambda side: side.replace("seed", 43, origin="--params"))
    failed = {check["name"] for check in report["checks"] if check["status"] == "fail"}
    assert failed == {"seed", "same losses"}


def test_a_monitor_that_is_never_logged_fails_before_anything_is_trained(checked: Checked) -> None:
    report = checked(lambda side: side.replace("training.monitor", "val_x", origin="conf"))
    failed = {check["name"]: check["message"] for check in report["checks"]}
    assert "training cannot take a step: training.monitor='val_x' was" in failed["same losses"]


# the node


@pytest.fixture
def nodes(repository: Path) -> VerifyNodes:
    return VerifyNodes(TASK, lock=repository / "requirements.lock")


def test_the_node_proves_it_with_a_fresh_process_and_says_a_line_for_each_check(
    nodes: VerifyNodes,
    split_folder: Path,
    tmp_path: Path,
    small_parameters: TaskParameters,
    small_tuning: TuningParameters,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="seqtune.pipelines")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    report, page = nodes.verify(
        small_parameters, small_tuning, VerifyConfig(num_steps=2), split_folder, scratch, None
    )
    assert report["counts"]["fail"] == 0
    ran = report["proof"]
    assert ran["tuning"]["losses"] == ran["training"]["losses"]
    assert len(ran["tuning"]["losses"]) == 2
    assert report["headline"][0].startswith(
        f"recommend: tuning and training are the same: {len(LEAVES)} values and 2 training steps"
    )
    assert list(scratch.iterdir()) == []
    lines = [record.getMessage() for record in caplog.records if "pipelines" in record.name]
    assert len(lines) == len(report["checks"])
    assert lines[0].startswith("ok   imports: ")
    assert page.startswith("<!doctype html>")


def test_what_failed_stops_it_with_all_faults_and_the_report_beside(tmp_path: Path) -> None:
    checks = [Check("a", "fail", "one\ntwo", "do this"), Check("b", "fail", "three")]
    report = {"checks": [check.as_dict() for check in checks]}
    with pytest.raises(ConfigurationError) as error:
        conclude(report, "<page>", scratch=tmp_path, stop=True)
    assert error.value.faults[:3] == ("one", "two; do this", "three")
    assert "on_mismatch=warn" in error.value.faults[3]
    assert (tmp_path / "verify_env" / "verify_page.html").read_text() == "<page>"


def test_asked_to_warn_it_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    report = {"checks": [Check("a", "fail", "one").as_dict()]}
    conclude(report, "", scratch=tmp_path, stop=False)
    assert "continuing because of" in caplog.text
    assert VerifyConfig().on_mismatch == "stop"


# the best configuration on the disk


def best_of(trial: TuningPath) -> BestConfig:
    side = trial()
    return BestConfig(
        task="recommend",
        values=trial_values(side, trial.params),
        metric="val_ndcg@5",
        score=0.5,
        metrics={},
        best_epoch=1,
        study="recommend-medium-0000",
        stage="medium",
        trial=3,
        chosen="best",
        searched=sorted(trial.params),
        environment=side.table(),
        data_hash=trial.data.content_hash,
        versions=library_versions(),
        fingerprint=fingerprint(side.config, data_hash=trial.data.content_hash),
    )


def test_a_best_config_of_another_time_is_a_warning_for_each_change(
    split_folder: Path, small_parameters: TaskParameters, small_tuning: TuningParameters
) -> None:
    data = TASK.open_data(split_folder)
    trial = reference(TASK, small_parameters, data, small_tuning.spaces["medium"])
    best, now = best_of(trial), trial.resolve_as_training()
    assert [check.status for check in check_best(best, now, data)] == ["ok"]
    old = best.model_copy(update={"data_hash": "0" * 16, "versions": {"torch": "1.0"}})
    found = check_best(old, now.replace("seed", 1, origin="--params"), data)
    assert [check.status for check in found] == ["warn"] * 3
    assert "recommend.seed: the trial that was tuned has 42" in found[0].message
    assert "other data (content 000000000000, now" in found[1].message
    assert "torch 1.0 -> " in found[2].message


def test_its_report_is_in_the_node(
    nodes: VerifyNodes,
    split_folder: Path,
    small_parameters: TaskParameters,
    small_tuning: TuningParameters,
) -> None:
    data = TASK.open_data(split_folder)
    trial = reference(TASK, small_parameters, data, small_tuning.spaces["medium"])
    best = best_of(trial).model_dump(mode="json")
    assert [c.status for c in nodes._check_best(small_parameters, data, best)] == ["ok"]
    ignoring = small_parameters._replace(best_config="ignore")
    assert nodes._check_best(ignoring, data, best) == []
    assert nodes._check_best(small_parameters, data, None) == []


# the page


def test_the_page_shows_differences_loads_nothing_and_escapes(checked: Checked) -> None:
    evil = "<script>alert(1)</script>"
    report = checked(lambda side: side.replace("training.monitor", evil, origin="a<b"))
    page = verify_page(report)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "a&lt;b" in page
    for loading in ("http://", "https://", "src=", "@import", "<link"):
        assert loading not in page
    assert "Values that differ" in page


def test_a_page_of_what_could_not_be_resolved_is_a_page_all_the_same(checked: Checked) -> None:
    def broken(side: Resolved[Any]) -> Resolved[Any]:
        raise ConfigurationError(["recommend.model.num_heads=3 does not divide"])

    report = checked(broken)
    assert "num_heads=3 does not divide" in verify_page(report)
    assert report["fingerprint"] is None


def test_the_table_of_both_holds_every_key() -> None:
    rows = table_of_both(resolved().table(), changed("seed").table())
    assert [row["key"] for row in rows] == sorted(LEAVES)
    assert [row["key"] for row in rows if not row["equal"]] == ["seed"]


def test_the_stage_is_wired() -> None:
    pipeline = create_pipeline(TASK)
    assert pipeline.inputs() == {
        "params:recommend",
        "params:recommend.tuning",
        "params:verify_env",
        "recommend.split",
        "recommend.earlier_best_config",
        "scratch",
    }
    assert pipeline.outputs() == {"recommend.verify_report", "recommend.verify_page"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_worker_ends_with_the_process_that_started_it(number: signal.Signals) -> None:
    command = [sys.executable, Path(__file__).with_name("toy_steps.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker, fork_server = map(psutil.Process, map(int, parent.stdout.readline().split()))
        parent.send_signal(number)
        _, alive = psutil.wait_procs([worker, fork_server], timeout=20)
    assert not alive
