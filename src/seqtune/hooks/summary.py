"""What a person sees of a run: where it stands, and a summary at its end."""

from __future__ import annotations

import logging
import time
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from seqtune.summary import PAGE, Made, print_summary

from ._places import place_of

logger = logging.getLogger(__name__)


class SummaryHooks:
    def __init__(self) -> None:
        self._save_version = ""
        self._num_nodes = 0
        self._num_started = 0
        self._started = 0.0

    @hook_impl
    def after_catalog_created(self, save_version: str) -> None:
        self._save_version = save_version

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        self._num_nodes, self._num_started = len(pipeline.nodes), 0
        self._started = time.monotonic()

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        self._num_started += 1
        logger.info("[%d/%d] %s", self._num_started, self._num_nodes, node.name)

    @hook_impl(trylast=True)  # after whatever else is written at the end of a run
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        made = [Made(node.name, node.outputs) for node in pipeline.nodes]
        tasks = {name.partition(".")[0] for one in made for name in one.outputs if "." in name}
        pages = [f"{task}.{PAGE}" for task in sorted(tasks)]
        places = {
            name: place
            for name in (*pages, *(name for one in made for name in one.outputs))
            if (place := place_of(catalog, name, self._save_version))
        }
        page = next((places[name] for name in pages if name in places), None)
        print_summary(
            made,
            places,
            load=catalog.load,
            env=run_params["env"],
            seconds=time.monotonic() - self._started,
            page=page if page and page.is_file() else None,
        )
