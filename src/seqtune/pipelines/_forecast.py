"""How long a training will take, said before it starts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from seqtune.core.config import RunConfig
from seqtune.core.format import format_duration
from seqtune.core.task import TaskSpec

NUM_STEPS = 6
LONG_SECONDS = 3600.0

logger = logging.getLogger(__name__)


def announce(task: TaskSpec, config: RunConfig, data: Any, scratch: Path) -> None:
    """Log the time of the training, from a few steps of it; warn if it is over an hour."""
    from seqtune.training import TrainingCosts, profile_steps

    steps = profile_steps(task, config, data, num_steps=NUM_STEPS, directory=scratch)
    costs = TrainingCosts.of(steps, config.training)
    limit = config.training.max_minutes
    seconds = costs.seconds if limit is None else min(costs.seconds, limit * 60)
    logger.info(
        "training: at most %d epochs of about %s each, so at most about %s here; early stopping "
        "may end it sooner",
        costs.epochs,
        format_duration(costs.epoch_seconds),
        format_duration(seconds),
    )
    if seconds > LONG_SECONDS:
        smaller = f"choose a smaller model ({task.smaller}), or " if task.smaller else ""
        logger.warning(
            "that is over an hour on this machine; for a first result %slimit it "
            "(%s.training.max_minutes=30)",
            smaller,
            task.name,
        )
