"""Pretrained models and their tokenisers, from a folder or from the Hugging Face hub.

A name is first made a folder on this disk (`locate`); everything is loaded from that folder, so
that a local model and one from the hub take the same path. Code that comes with a model is never
run, and weights that could run some (pickles) are refused unless they are allowed.
"""

from __future__ import annotations

import os
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from seqtune.contracts.checkpoint import file_hash
from seqtune.contracts.errors import ConfigurationError

CONFIG = "config.json"
SAFE = "*.safetensors"
PICKLED = ("*.bin", "*.pt", "*.pth")
WANTED = ["*.json", "*.txt", "*.model", "*.jinja", SAFE]


def locate(
    name: str, *, revision: str | None = None, allow_pickle: bool = False, key: str = "model.name"
) -> Path:
    """The folder of a model: `name` is a folder here, or a name on the hub (a copy is kept)."""
    folder = Path(name).expanduser()
    if not (folder / CONFIG).is_file():
        folder = _from_hub(name, revision=revision, allow_pickle=allow_pickle, key=key)
    _refuse_pickles(folder, name, allow_pickle=allow_pickle, key=key)
    return folder


def identity(folder: Path) -> str:
    """What a model folder holds, as a short text: equal for equal content.

    A copy from the hub is known by its commit; of another folder all files are read, once a
    process as long as they do not change.
    """
    if folder.parent.name == "snapshots":
        return folder.name
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return _identity(tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files))


def load_config(folder: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def load_model(auto_class: str, folder: Path, *, allow_pickle: bool = False, **options: Any) -> Any:
    """A model of one of the Auto classes of transformers, in fp32 unless options say otherwise."""
    import torch
    import transformers

    auto = getattr(transformers, auto_class)
    return auto.from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=None if allow_pickle else True,
        **{"dtype": torch.float32, **options},
    )


def empty_model(auto_class: str, config: Any, **options: Any) -> Any:
    """The same without its weights: to be filled from a checkpoint."""
    import transformers

    return getattr(transformers, auto_class).from_config(config, trust_remote_code=False, **options)


def require_match(tokenizer: Any, config: Any, *, name: str) -> None:
    """Refuse a tokeniser that knows tokens which the model has no embedding for."""
    own = tokenizer.vocab_size
    if own > config.vocab_size:
        raise ConfigurationError(
            f"the tokenizer of {name} has {own} tokens, but the model has embeddings for "
            f"{config.vocab_size}: they do not belong together. Give a folder that holds both as "
            "they were saved together"
        )


def _from_hub(name: str, *, revision: str | None, allow_pickle: bool, key: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [*WANTED, *(PICKLED if allow_pickle else ())]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:
        offline = os.environ.get("HF_HUB_OFFLINE") == "1"
        raise ConfigurationError(
            f"{key}={name!r}: there is no such model. Looked for a folder {Path(name).absolute()} "
            f"with a {CONFIG}, then for {name!r} on the Hugging Face hub and in its copies here "
            f"({'offline: HF_HUB_OFFLINE=1' if offline else type(error).__name__}). Give the path "
            "of a folder that save_pretrained wrote, or download the model where there is a "
            "network and copy its folder"
        ) from error


def _refuse_pickles(folder: Path, name: str, *, allow_pickle: bool, key: str) -> None:
    if any(folder.glob(SAFE)) or allow_pickle:
        return
    pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    if pickled:
        parent = key.rpartition(".")[0]
        raise ConfigurationError(
            f"{key}={name!r}: its weights are pickled ({', '.join(pickled)}), and loading a pickle "
            "can run any code. Convert them to safetensors, or, if you trust where they are from, "
            f"set {parent}.allow_pickle=true"
        )
    raise ConfigurationError(f"{key}={name!r}: {folder} holds no weights (*.safetensors)")


@cache
def _identity(files: tuple[tuple[str, int, int], ...]) -> str:
    digest = sha256()
    for path, _, _ in files:
        digest.update(f"{Path(path).name}:{file_hash(Path(path))};".encode())
    return digest.hexdigest()[:40]
