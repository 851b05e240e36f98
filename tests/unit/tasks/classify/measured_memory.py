"""What a training takes, in a process of its own: `python measured_memory.py OPTIONS FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[3]))

from examples import OTHERS, make_model, make_split, tiny_config

from seqtune.tasks.classify import TASK
from seqtune.training import profile_steps


def main(options: dict[str, Any], folder: Path) -> tuple[float, float | None]:
    """MiB: estimated, and measured."""
    batch, time = options["batch"], options["time"]
    model = make_model(folder / "model", options.get("kind", "electra"))
    described = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**described, **options["sizes"]}))
    (model / "model.safetensors").unlink()
    words = (OTHERS * time)[: time - 2]
    rows = [(" ".join([*words, str(number)]), [1, 0, 1]) for number in range(2 * batch)]
    data = make_split(folder / "split", train=rows, valid=rows, test=rows)
    config = tiny_config(
        model,
        model={"from_scratch": True, "max_length": time, **options.get("model", {})},
        training={"batch_size": batch, **options.get("training", {})},
        evaluation={"batch_size": batch, "train_metric_rows": 0},
    )
    estimate = TASK.estimate_memory(config, data)  # also makes the tokens
    return estimate, profile_steps(TASK, config, data, directory=folder).peak_memory_mib


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]), Path(sys.argv[2]))))
