"""What a start puts off: garbage collection up to the first node, hooks up to the first session."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from pluggy import PluginManager

import seqtune.hooks
from seqtune.commands import run as command
from seqtune.hooks import Hooks
from seqtune.hooks.start import StartHooks
from seqtune.plugins import GarbageCollection, garbage_collection


@pytest.fixture
def collecting() -> Iterator[None]:
    gc.enable()
    yield
    garbage_collection.resume()
    gc.enable()
    gc.unfreeze()


@pytest.mark.usefixtures("collecting")
def test_garbage_is_collected_again_when_nodes_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def as_kedro_runs(**_options: Any) -> None:
        seen.append(gc.isenabled())
        StartHooks().before_pipeline_run()
        seen.append(gc.isenabled())

    monkeypatch.setattr(command.kedro_run, "callback", as_kedro_runs)
    command.run_or_rehearse()

    assert seen == [False, True]


@pytest.mark.usefixtures("collecting")
def test_garbage_is_collected_again_after_a_run_that_never_came_to_a_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(**_options: Any) -> None:
        raise ValueError("no such pipeline")

    monkeypatch.setattr(command.kedro_run, "callback", fails)
    with pytest.raises(ValueError, match="no such pipeline"):
        command.run_or_rehearse()

    assert gc.isenabled()


@pytest.mark.usefixtures("collecting")
def test_who_switched_collection_off_keeps_it_off() -> None:
    gc.disable()
    collection = GarbageCollection()

    collection.put_off()
    collection.resume()

    assert not gc.isenabled()


def test_hooks_are_made_once() -> None:
    hooks = Hooks("ReportHooks", "StartHooks")

    assert [type(hook).__name__ for hook in hooks] == ["ReportHooks", "StartHooks"]
    assert [id(hook) for hook in hooks] == [id(hook) for hook in hooks]


def test_a_name_that_is_taken_is_not_loaded() -> None:
    manager = PluginManager("kedro")
    for hook in Hooks(instead_of=("pipeline-run-hook",)):
        manager.register(hook)

    manager.load_setuptools_entrypoints("kedro.hooks", "pipeline-run-hook")

    assert [type(plugin).__name__ for plugin in manager.get_plugins()] == ["Nothing"]


def test_every_hook_is_found_by_its_name() -> None:
    assert {getattr(seqtune.hooks, name).__name__ for name in seqtune.hooks.__all__} == {
        *seqtune.hooks.MODULES
    }
    with pytest.raises(AttributeError, match="no attribute 'OtherHooks'"):
        _ = seqtune.hooks.OtherHooks
