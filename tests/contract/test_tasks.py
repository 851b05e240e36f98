"""What every task must offer, tested once for all of them: a fourth one is a folder.

Its example (examples/<task>.py) writes a few raw rows and gives a configuration small enough to be
trained here.
"""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from prepared import Prepared

from ensemble_folders import write_ensemble
from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.config import EnsembleConfig, ExportConfig, fingerprint
from seqtune.core.ensemble import open_ensemble
from seqtune.core.errors import ArtifactError, ConfigurationError, DataError, SeqtuneError
from seqtune.core.metrics import EXHIBITS, HEADLINE, PARTS, ReportTable, exhibit
from seqtune.core.task import OURS, Lazy, Report
from seqtune.pipeline_registry import TASKS
from seqtune.pipelines.ensemble.baselines import fit_baseline, plan_baseline
from seqtune.pipelines.ensemble.members import MemberPlan, PlannedMember
from seqtune.pipelines.ensemble.weighing import make_ensemble
from seqtune.pipelines.export.folder import finish
from seqtune.training.resume_checkpoints import adopt, newest
from seqtune_serve import open_model, read_export

HEAVY = ("torch", "lightning", "transformers", "sklearn", "pyarrow", "duckdb", "pandas", "numpy")
DAMAGED = r"damaged|not what was written|cannot be read as weights"
REQUESTS = {"recommend": "history", "classify": "text"}
"""What a request to an exported model holds."""
ALL = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


@ALL
def test_every_callable_is_there_and_imported_when_it_is_called(task: Any) -> None:
    for one in fields(task):
        value = getattr(task, one.name)
        if isinstance(value, Lazy):
            module, _, attribute = value.target.partition(":")
            found: Any = import_module(module)
            for name in attribute.split("."):
                found = getattr(found, name)
            assert callable(found), value.target


@ALL
def test_a_task_is_listed_and_its_parameters_read_without_anything_heavy(task: Any) -> None:
    code = (
        f"import sys; from seqtune.tasks.{task.name} import TASK; "
        "TASK.parse_parameters(values={}, runtime={}, origins={}).resolve(); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert completed.stdout.strip() == "[]"


@ALL
def test_an_unknown_parameter_is_refused_by_its_name(task: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"{task.name}\.modell\.x is not a parameter"):
        task.parse_parameters(values={"modell": {"x": 1}}, runtime={}, origins={})


def test_reading_and_splitting_give_the_same_again(prepared: Prepared) -> None:
    (first, reports), (second, again) = prepared.first, prepared.made("again")
    for name in ("content_hash", "assets_hash", "test_hash"):
        assert getattr(first, name) == getattr(second, name), name
    assert first.has_validation
    for report, other in zip(reports, again, strict=True):
        json.dumps(report)
        assert report.keys() == other.keys() != set()


def test_wrong_raw_data_are_refused_by_file_and_column(prepared: Prepared, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    config, sources = prepared.parameters().resolve().config, prepared.example.broken(tmp_path)
    with pytest.raises(DataError, match=prepared.example.BROKEN):
        prepared.task.ingest(sources, config, out=out)
    assert list(out.iterdir()) == []


def test_opened_data_go_to_another_process_by_their_path(prepared: Prepared) -> None:
    sent = pickle.dumps(prepared.data)
    assert len(sent) < 4096
    assert pickle.loads(sent).content_hash == prepared.data.content_hash


def test_a_changed_file_of_any_artifact_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    task, config, split = prepared.task, prepared.parameters().resolve().config, prepared.data.path
    opened: dict[Path, Callable[[Path], object]] = {
        split.with_name("first-ingest") / "manifest.json": lambda path: task.split(
            path, config, out=tmp_path
        ),
        split / "split.json": task.open_data,
        prepared.checkpoint / "checkpoint.json": lambda path: task.evaluate(path, prepared.data),
    }
    for manifest, opens in opened.items():
        names = json.loads(manifest.read_text())["files"]
        assert names
        for number, name in enumerate(names):
            copy = tmp_path / f"{manifest.stem}-{number}"
            shutil.copytree(manifest.parent, copy)
            content = (copy / name).read_bytes()
            (copy / name).write_bytes(bytes([content[0] ^ 1]) + content[1:])
            with pytest.raises(ArtifactError, match=f"the content of {name} is not what was"):
                opens(copy)


def test_what_is_settled_stays_as_it_is(prepared: Prepared) -> None:
    resolved = prepared.resolved()
    assert prepared.task.resolve_auto is not None
    assert prepared.task.resolve_auto(resolved, prepared.data).config == resolved.config
    assert prepared.task.name == "recommend" or resolved.config.model.revision


def test_memory_is_estimated_and_grows_with_the_batch(prepared: Prepared) -> None:
    small, large = (
        prepared.task.estimate_memory(prepared.resolved(batch_size=size).config, prepared.data)
        for size in (2, 16)
    )
    assert 0.0 < small < large


def test_the_same_seed_gives_the_same_weights_and_another_others(prepared: Prepared) -> None:
    weights = [
        open_checkpoint(path).manifest.last.sha256
        for path in (prepared.checkpoint, prepared.fit("same"), prepared.second)
    ]
    assert weights[0] == weights[1] != weights[2]


class Killed(BaseException):
    pass


def test_a_training_that_died_goes_on_to_the_same_end(prepared: Prepared) -> None:
    def die_after_the_second_epoch(epoch: int, _metrics: object) -> bool:
        if epoch == 2:
            raise Killed
        return False

    with pytest.raises(Killed):
        prepared.fit("killed", report=die_after_the_second_epoch)
    epochs: list[int] = []
    resumed = prepared.fit("killed", report=lambda epoch, _: bool(epochs.append(epoch)))
    assert epochs == [2]
    ours, whole = (open_checkpoint(path).manifest for path in (resumed, prepared.checkpoint))
    assert (ours.best.sha256, ours.last.sha256) == (whole.best.sha256, whole.last.sha256)
    assert ours.best.metrics == whole.best.metrics


def test_one_epoch_resumed_with_another_is_one_training_of_two(prepared: Prepared) -> None:
    config = prepared.resolved(scheduler="none", warmup_ratio=0.0).config
    one = prepared.resolved(scheduler="none", warmup_ratio=0.0, epochs=1).config
    short = prepared.fit("short", config=one, keep_state=True).parent
    state = newest(short)
    assert state is not None
    adopted = prepared.folder / "adopted"
    adopted.mkdir()
    whole = fingerprint(config, data_hash=prepared.data.content_hash)
    adopt(state, adopted, config.training, fingerprint=whole)
    epochs: list[int] = []
    parts = prepared.fit(
        "adopted", config=config, report=lambda epoch, _: bool(epochs.append(epoch))
    )
    assert epochs == [2]
    ours, long = (
        open_checkpoint(path).manifest for path in (parts, prepared.fit("whole", config=config))
    )
    assert (ours.best.sha256, ours.last.sha256) == (long.best.sha256, long.last.sha256)
    assert ours.best.metrics == long.best.metrics


def test_metrics_have_their_form_and_floors_beside_them(prepared: Prepared) -> None:
    report = prepared.metrics
    json.dumps(report, allow_nan=False)
    manifest = open_checkpoint(prepared.checkpoint).manifest
    assert report["fingerprint"] == manifest.fingerprint
    assert report["data_hash"] == prepared.data.content_hash
    assert report["protocol"]
    assert report["definitions"]
    assert report[HEADLINE]
    assert list(report[PARTS]) == ["valid", "test"]
    for part in report[PARTS].values():
        assert part["verdict"]
        metrics = list(groups(part))
        assert metrics
        assert all(OURS in by_model for _, by_model in metrics)
        assert any(len(by_model) > 1 for _, by_model in metrics), "no floor"


def test_the_monitored_metric_is_reported_under_its_name(prepared: Prepared) -> None:
    name = open_checkpoint(prepared.checkpoint).manifest.monitor.removeprefix("val_")
    assert name in dict(groups(prepared.metrics[PARTS]["valid"]))


def test_parts_are_scored_alone_when_asked_for(prepared: Prepared) -> None:
    alone = prepared.task.evaluate(prepared.checkpoint, prepared.data, parts=("valid",))
    assert list(alone[PARTS]) == ["valid"]
    assert dict(groups(alone[PARTS]["valid"])) == dict(groups(prepared.metrics[PARTS]["valid"]))


def test_exhibits_are_valid_and_what_the_task_names_is_among_them(prepared: Prepared) -> None:
    task = prepared.task
    shown = {name: exhibit(one) for name, one in prepared.metrics.get(EXHIBITS, {}).items()}
    assert {*task.figures, *task.tables} <= shown.keys()
    assert not any(isinstance(shown[name], ReportTable) for name in task.figures)
    assert all(isinstance(shown[name], ReportTable) for name in task.tables)


def test_members_are_weighed_and_made_an_ensemble(prepared: Prepared, tmp_path: Path) -> None:
    members = {"a": prepared.checkpoint, "b": prepared.second}
    pool = prepared.task.open_pool(members, prepared.data, EnsembleConfig(), seed=1)
    half = np.array([0.5, 0.5])
    rows = np.arange(pool.num_rows // 2)
    assert pool.num_members == 2
    assert pool.scales == prepared.task.scales
    for scale in pool.scales:
        assert pool.score(half, scale=scale) == pool.score(half, scale=scale)
        held_out = pool.score(half, scale=scale, rows=rows, decided_on=rows + len(rows))
        assert held_out >= 0.0
        json.dumps(pool.decision(half, scale=scale))
    json.dumps(pool.facts())

    ensemble, report = ensemble_of(prepared, tmp_path, weights="uniform")
    scored = prepared.task.evaluate(ensemble, prepared.data)
    assert scored["fingerprint"] == report["fingerprint"]
    assert list(scored[PARTS]) == ["valid", "test"]
    assert len(open_ensemble(ensemble).manifest.used) == 2


def test_an_ensemble_of_one_is_that_one(prepared: Prepared, tmp_path: Path) -> None:
    ensemble, _ = ensemble_of(prepared, tmp_path, weights="single")
    (name,) = (member.name for member in open_ensemble(ensemble).manifest.used)
    alone = {"a": prepared.checkpoint, "b": prepared.second}[name]
    one, other = (
        dict(groups(prepared.task.evaluate(path, prepared.data, parts=("valid",))[PARTS]["valid"]))
        for path in (ensemble, alone)
    )
    assert one.keys() == other.keys()


def test_a_baseline_is_a_member_like_a_network(prepared: Prepared, tmp_path: Path) -> None:
    task, data = prepared.task, prepared.data
    assert task.baselines
    for name in task.baselines:
        folder = fitted(prepared, name, tmp_path / name)
        members = {"a": prepared.checkpoint, name: folder}
        pool = task.open_pool(members, data, EnsembleConfig(), seed=1)
        for scale in pool.scales:
            alone = [pool.score(np.array(one), scale=scale) for one in ([1.0, 0.0], [0.0, 1.0])]
            assert pool.score(np.array([0.5, 0.5]), scale=scale) >= 0.0
            assert min(alone) >= 0.0
        for label, shares in (("both", (0.5, 0.5)), ("alone", (0.0, 1.0))):
            ensemble = write_ensemble(
                tmp_path / name / label,
                dict(zip(members.values(), shares, strict=True)),
                task=task.name,
                metric=pool.metric,
                scale=pool.scales[0],
            )
            scored = task.evaluate(ensemble, data)
            assert list(scored[PARTS]) == ["valid", "test"]
            for number, new in enumerate(((), (prepared.example.new_rows(tmp_path),))):
                out = tmp_path / name / f"{label}-{number}"
                out.mkdir()
                task.predict(ensemble, data, prepared.parameters().predict, new_rows=new, out=out)
                assert pq.read_table(out / "predictions.parquet").num_rows > 0
            with hidden(data.path):
                answers_itself(task.name, ensemble)


def test_a_changed_file_of_a_baseline_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    task = prepared.task
    for name in task.baselines:
        folder = fitted(prepared, name, tmp_path / name)
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert len(files) >= 2
        for number, file in enumerate(files):
            copy = tmp_path / f"{name}-{number}"
            shutil.copytree(folder, copy)
            content = file.read_bytes()
            (copy / file.relative_to(folder)).write_bytes(bytes([content[0] ^ 1]) + content[1:])
            with pytest.raises(ArtifactError, match=DAMAGED):
                task.evaluate(copy, prepared.data)


def test_a_baseline_is_fitted_the_same_again(prepared: Prepared, tmp_path: Path) -> None:
    for name in prepared.task.baselines:
        sums = [
            open_checkpoint(fitted(prepared, name, tmp_path / name / again)).manifest.best.sha256
            for again in ("one", "two")
        ]
        assert sums[0] == sums[1]


def test_members_of_another_split_are_refused(prepared: Prepared) -> None:
    other, _ = prepared.made("other", other=True)
    assert other.content_hash != prepared.data.content_hash
    with pytest.raises(SeqtuneError, match=r"split|data set|labels"):
        prepared.task.open_pool({"a": prepared.checkpoint}, other, EnsembleConfig(), seed=1)


def test_predictions_come_as_a_table_and_a_submission(prepared: Prepared, tmp_path: Path) -> None:
    settings = prepared.parameters().predict
    for name, new in (("known", ()), ("new", (prepared.example.new_rows(tmp_path),))):
        out = tmp_path / name
        out.mkdir()
        report = prepared.task.predict(
            prepared.checkpoint, prepared.data, settings, new_rows=new, out=out
        )
        json.dumps(report)
        assert report["headline"]
        assert pq.read_table(out / "predictions.parquet").num_rows > 0
        assert len((out / "submission.csv").read_text(encoding="utf-8").splitlines()) > 1


def test_a_checkpoint_needs_nothing_that_it_was_trained_from(
    prepared: Prepared, tmp_path: Path
) -> None:
    with hidden(prepared.folder / "model"):
        answers_itself(prepared.task.name, prepared.checkpoint)
        prepared.task.predict(
            prepared.checkpoint,
            prepared.data,
            prepared.parameters().predict,
            new_rows=(prepared.example.new_rows(tmp_path),),
            out=tmp_path,
        )


def test_an_export_answers_as_the_trained_model_does(prepared: Prepared, tmp_path: Path) -> None:
    task, predict = prepared.task, prepared.parameters().predict
    if task.export is None:
        return
    manifest, report = task.export(
        prepared.checkpoint, prepared.data, predict, ExportConfig(), out=tmp_path
    )
    finish(tmp_path, task.name, manifest, report, prepared.metrics)
    trained = import_module(f"seqtune.tasks.{task.name}.serving").open_served(prepared.checkpoint)
    model = open_model(read_export(tmp_path))
    (values,) = trained.example[0].values()
    request = replace(model.example(), **{REQUESTS[task.name]: values})
    key, value = list(trained.answer)[:2]
    (wanted,) = trained.answers(trained.example[:1], dict(trained.settings))
    (found,) = (next(iter(answer.values())) for answer in model.answer([request]))

    assert [line[key] for line in found] == [line[key] for line in wanted]
    assert [line[value] for line in found] == pytest.approx(
        [line[value] for line in wanted], abs=1e-3
    )
    assert report["checks"]["fp32"]["largest_difference"] < 1e-3
    assert report["checks"].keys() == {"fp32", "int8"}
    card = (tmp_path / "model_card.md").read_text(encoding="utf-8")
    assert prepared.data.content_hash in card
    assert str(prepared.folder) not in (tmp_path / "export.json").read_text(encoding="utf-8")


def test_trained_weights_are_measured_as_they_are_scored(prepared: Prepared) -> None:
    task = prepared.task
    if task.measure is None:
        assert task.after_training == ()
        return
    config = prepared.resolved().config
    measured = dict(task.measure(prepared.checkpoint, prepared.data, config))
    scored = dict(groups(prepared.metrics[PARTS]["valid"]))
    decoded = {
        k.removeprefix("decoded_"): v for k, v in measured.items() if k.startswith("decoded_")
    }
    assert decoded
    for name, value in decoded.items():
        assert scored[name][OURS] == value, name


def groups(part: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Metrics of a part, each by model."""
    for group in part.values():
        if isinstance(group, Mapping):
            for metric, by_model in group.items():
                if isinstance(by_model, Mapping):
                    yield metric, by_model


def answers_itself(task: str, folder: Path) -> None:
    """What is served answers its own example, in its form, and the same again."""
    model = import_module(f"seqtune.tasks.{task}.serving").open_served(folder)
    first = model.answers(list(model.example), dict(model.settings))
    assert len(first) == len(model.example)
    assert all(set(line) <= set(model.answer) for lines in first for line in lines)
    json.dumps(first)
    assert model.answers(list(model.example), dict(model.settings)) == first


def fitted(prepared: Prepared, name: str, folder: Path) -> Path:
    """The checkpoint of a baseline."""
    task, config = prepared.task, prepared.resolved().config
    member = plan_baseline(task, name, config, trained="f" * 16)
    folder.mkdir(parents=True)
    return fit_baseline(task, member, prepared.data, folder)


def ensemble_of(prepared: Prepared, folder: Path, *, weights: str) -> tuple[Path, Report]:
    members = [
        PlannedMember(
            name=name,
            origin=name,
            fingerprint=open_checkpoint(path).manifest.fingerprint,
            checkpoint=path,
        )
        for name, path in (("a", prepared.checkpoint), ("b", prepared.second))
    ]
    settings = EnsembleConfig.model_validate({"weights": weights})
    plan = MemberPlan(tuple(members), "checkpoints", "a test")
    return make_ensemble(
        prepared.task, plan, members, prepared.data, settings, out=folder / "ensemble"
    )


@contextmanager
def hidden(folder: Path) -> Iterator[None]:
    """As if it had never been there; nothing where it is not."""
    aside = folder.with_name("aside")
    there = folder.is_dir()
    if there:
        folder.rename(aside)
    try:
        yield
    finally:
        if there:
            aside.rename(folder)
