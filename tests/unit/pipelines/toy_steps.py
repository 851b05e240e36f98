"""A process that takes its steps in a worker, which never ends by itself."""

from __future__ import annotations

import os
import time
from typing import Any

from seqtune.core.config import RunConfig
from seqtune.pipelines.verify_env.comparison import StepResults, in_worker


def hang(_config: RunConfig) -> StepResults:
    print(os.getpid(), os.getppid(), flush=True)
    time.sleep(600)
    return StepResults()


if __name__ == "__main__":
    config: Any = None
    in_worker(hang, config)
