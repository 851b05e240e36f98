"""A small training of a language model with adapters, for processes that share one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from seqtune.core.errors import Interrupted
from seqtune.core.execution import ALONE, RankInfo
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.module import SummarizeModule, build_module
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.training import fit
from toy_processes import exit_codes, start_ranks


def train(
    config: SummarizeConfig,
    split: Path,
    folder: Path,
    place: RankInfo = ALONE,
    *,
    stop_after: int = 0,
) -> dict[str, Any]:
    """History without what only says how long, and how much of the model was held in the end."""
    built: list[SummarizeModule] = []

    def keep(*given: Any) -> SummarizeModule:
        built.append(build_module(*given))
        return built[0]

    try:
        result = fit(
            replace(TASK, build_module=keep),
            config,
            SummarizeData.open(split),
            directory=folder,
            fingerprint="f" * 16,
            report=partial(_stop, stop_after),
            progress=False,
            launched=place,
        )
    except Interrupted:
        return {"stopped": True}
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]
    return {"history": history, "resumed": result.resumed_from, "held": held(built[0])}


def held(module: SummarizeModule) -> int:
    """Numbers of a model that this process has in its memory."""
    return sum(getattr(p, "to_local", p.detach)().numel() for p in module.parameters())


def _stop(after: int, epoch: int, _metrics: Mapping[str, float]) -> None:
    if epoch == after:
        os.kill(os.getpid(), signal.SIGTERM)


def train_together(
    config: SummarizeConfig, split: Path, folder: Path, *, stop_after: int = 0
) -> list[dict[str, Any]]:
    """What each of two processes says."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    assert exit_codes(start_ranks(_rank, config, split, folder, stop_after)) == [0, 0]
    return [json.loads(_told(folder, rank).read_text()) for rank in range(2)]


def _rank(
    config: SummarizeConfig, split: Path, folder: Path, stop_after: int, place: RankInfo
) -> None:
    said = train(config, split, folder, place, stop_after=stop_after)
    _told(folder, place.rank).write_text(json.dumps(said))


def _told(folder: Path, rank: int) -> Path:
    return folder.with_name(f"{folder.name}-{rank}.json")
