"""What a person sees of a run: its progress, a page about it, and a summary at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from seqtune.core.resolve import flatten, validated
from seqtune.datasets.remote_path import AnyPath
from seqtune.pipeline_registry import TASKS
from seqtune.run_report import (
    Failure,
    NodeTime,
    ReportConfig,
    RunFacts,
    RunRecord,
    print_summary,
    write_report,
)

logger = logging.getLogger(__name__)

GROUP = "report"


class ReportHooks:
    """Times the nodes, writes the report at the end or after an error, prints the summary."""

    def __init__(self) -> None:
        self._version = ""
        self._is_enabled = True
        self._start()

    def _start(self) -> None:
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        self._began: dict[str, float] = {}
        self._nodes: list[NodeTime] = []
        self._loaded: set[str] = set()
        self._saved: set[str] = set()
        self._failed = ""
        self._num_nodes = 0

    @hook_impl
    def after_catalog_created(self, save_version: str) -> None:
        self._version = save_version

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        values: Mapping[str, Any] = catalog["parameters"].load().get(GROUP) or {}
        self._is_enabled = validated(ReportConfig, dict(flatten(values)), {}, root=GROUP).enabled
        self._start()
        self._num_nodes = len(pipeline.nodes)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        self._began[node.name] = time.monotonic()
        logger.info("[%d/%d] %s", len(self._began), self._num_nodes, node.name)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        began = self._began.get(node.name, self._clock)
        self._nodes.append(NodeTime(node.name, time.monotonic() - began, node.outputs))

    @hook_impl
    def on_node_error(self, node: Node) -> None:
        self._failed = node.name

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        self._loaded.add(dataset_name)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        self._saved.add(dataset_name)

    @hook_impl(wrapper=True)
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> Iterator[None]:
        facts = self._facts(run_params, catalog)
        pages = self._write(facts, pipeline)  # before the other hooks: loggers keep the page
        yield
        print_summary(facts, pages=pages)

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        if self._saved:
            failure = Failure(type(error).__name__, str(error), self._failed)
            self._write(self._facts(run_params, catalog, failure), pipeline)

    def _facts(
        self, run_params: dict[str, Any], catalog: DataCatalog, failure: Failure | None = None
    ) -> RunFacts:
        run = RunRecord(
            version=self._version,
            started=self._started,
            seconds=time.monotonic() - self._clock,
            params=run_params,
            nodes=tuple(self._nodes),
            loaded=frozenset(self._loaded),
            saved=frozenset(self._saved),
            failure=failure,
        )
        return RunFacts(catalog, run, tasks=[task.name for task in TASKS])

    def _write(self, facts: RunFacts, pipeline: Pipeline) -> list[AnyPath]:
        """Write the page of every task that the run worked on."""
        nodes = [node.name for node in pipeline.nodes] if self._is_enabled else []
        tasks = [task for task in facts.tasks if any(_is_of(task, node) for node in nodes)]
        pages = [_write_or_warn(facts, task) for task in tasks]
        return [page for page in pages if page and page.is_file()]


def _is_of(task: str, node: str) -> bool:
    """Whether a node works on a task's data; writing sample data needs no report."""
    return node.startswith(f"{task}.") and not node.startswith(f"{task}.sample")


def _write_or_warn(facts: RunFacts, task: str) -> AnyPath | None:
    try:
        return write_report(facts, task)
    except Exception as error:  # a failing report must not fail the run
        logger.warning(
            "the report of %s could not be written (%s: %s); the run itself is not affected",
            task,
            type(error).__name__,
            error,
        )
        logger.debug("the error in full", exc_info=error)
    return None
