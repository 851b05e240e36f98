"""Pretrained models and their tokenisers, from a folder or from the Hugging Face hub.

`locate` resolves a name to a local folder, from which everything is loaded, so that a local model
and one from the hub are handled the same. Code that comes with a model is never run, and weights
that could run code (pickles) are refused unless they are allowed.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from seqtune.core.checkpoint import file_hash
from seqtune.core.errors import ConfigurationError

from .params import PretrainedConfig

CONFIG = "config.json"
SAFE = "*.safetensors"
PICKLED = ("*.bin", "*.pt", "*.pth")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
POOLING = "1_Pooling/config.json"
"""Written by sentence-transformers: how the tokens of a text become its vector."""
WANTED = ("*.json", "*.txt", "*.model", "*.jinja")
OTHER_FOLDERS = ("[!1]*/*", "1[!_]*/*", "1_[!P]*/*")
"""All folders of a model on the hub but that of POOLING: other formats of the same weights."""
COMMIT = re.compile("[0-9a-f]{40}")


def locate(
    name: str,
    *,
    revision: str | None = None,
    allow_pickle: bool = False,
    weights: bool = True,
    key: str = "model.name",
) -> Path:
    """Return the folder of a model; `name` is a local folder, or a name on the hub (downloaded).

    `revision` pins its content: the identity of a folder, or a commit or branch on the hub. Without
    `weights`, only configuration and tokeniser are fetched, and pickled weights are not refused.
    """
    folder = Path(name).expanduser()
    if (folder / CONFIG).is_file():
        _require_identity(folder, name, revision, key)
    elif folder.exists():
        raise ConfigurationError(
            f"{key}={name!r}: {folder.absolute()} exists, but has no {CONFIG}. Give a folder that "
            "save_pretrained wrote; for a model of this name on the hub, move the folder away"
        )
    else:
        of_weights = ((SAFE, *PICKLED) if allow_pickle else (SAFE,)) if weights else ()
        folder = _from_hub(name, revision=revision, of_weights=of_weights, key=key)
    if weights and not allow_pickle:
        _refuse_pickles(folder, name, key=key)
    return folder


def locate_model(model: PretrainedConfig, *, key: str) -> Path:
    """Return the folder of a configured model; from scratch, it needs no weights."""
    return locate(
        model.name,
        revision=model.revision,
        allow_pickle=model.allow_pickle,
        weights=not model.from_scratch,
        key=key,
    )


def identity(folder: Path) -> str:
    """Return a hash of a model folder's content, or the commit of a copy from the hub.

    Hashes are cached in the process until the files change.
    """
    if folder.parent.name == "snapshots" and COMMIT.fullmatch(folder.name):
        return folder.name
    files = sorted(path for pattern in (*WANTED, SAFE, *PICKLED) for path in folder.glob(pattern))
    stats = [(file, file.stat()) for file in files]
    return _identity(tuple((str(file), s.st_size, s.st_mtime_ns) for file, s in stats))


def load_config(folder: Path) -> Any:
    """Load the configuration of a model."""
    be_quiet()
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{folder / CONFIG} cannot be used ({_reason(folder, error)}); give a model that this "
            "version of transformers supports, as save_pretrained wrote it"
        ) from error


def load_tokenizer(folder: Path) -> Any:
    """Load the tokeniser of a model."""
    be_quiet()
    from transformers import AutoTokenizer

    if not _has_files(folder, TOKENIZERS):
        raise ConfigurationError(  # transformers would build an empty one
            f"{folder} has no tokenizer ({', '.join(TOKENIZERS)}); save the model's own there "
            "with tokenizer.save_pretrained"
        )
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ConfigurationError(
            f"the tokenizer in {folder} cannot be loaded ({_reason(folder, error)}); save it again "
            "with tokenizer.save_pretrained"
        ) from error


def load_model(auto_class: str, folder: Path, *, allow_pickle: bool = False, **options: Any) -> Any:
    """Load a model with an Auto class of transformers, in fp32 unless options give a dtype.

    Missing weights are an error, unless `output_loading_info` requests (model, report).
    """
    be_quiet()
    import torch
    import transformers
    from safetensors import SafetensorError

    if not _has_files(folder, (SAFE, *PICKLED)):
        raise ConfigurationError(
            f"{folder} has no weights ({SAFE}). If the model has only pickled weights, convert "
            "them, or, if you trust their source, set allow_pickle=true beside its name"
        )
    auto = getattr(transformers, auto_class)
    try:
        model, loaded = auto.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=None if allow_pickle else True,
            **{"dtype": torch.float32, **options, "output_loading_info": True},
        )
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ConfigurationError(
            f"{folder} cannot be loaded as {auto_class} ({_reason(folder, error)}); copy or "
            "download it again, or choose a model of the required type"
        ) from error
    if options.get("output_loading_info"):
        return model, loaded
    _require_weights(loaded["missing_keys"], auto_class, folder)
    return model


def empty_model(auto_class: str, config: Any, **options: Any) -> Any:
    """Build a model with random weights, to be filled from a checkpoint."""
    be_quiet()
    import transformers

    return getattr(transformers, auto_class).from_config(config, trust_remote_code=False, **options)


def require_match(tokenizer: Any, config: Any, *, name: str) -> None:
    """Refuse a tokeniser and a model that do not match; call before adding tokens.

    A tokeniser's `vocab_size` leaves out added tokens, so the highest id counts.
    """
    rows = getattr(config.get_text_config(), "vocab_size", 0)
    highest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if highest[1] >= rows:
        fault = f"has the token {highest[0]!r} with number {highest[1]}"
    elif 2 * len(tokenizer) < rows:
        fault = f"has {len(tokenizer)} tokens"
    else:
        return
    raise ConfigurationError(
        f"the tokenizer of {name} {fault}, but the model has embeddings for {rows}: they do not "
        "match. Give a folder where both were saved together"
    )


def be_quiet() -> None:
    """Switch off progress bars and warnings of the libraries."""
    import huggingface_hub.utils
    import transformers.utils.logging

    hub: Any = huggingface_hub.utils
    log: Any = transformers.utils.logging
    hub.disable_progress_bars()
    log.disable_progress_bar()
    log.set_verbosity_error()


def _has_files(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(path for pattern in patterns for path in folder.glob(pattern))


def _require_identity(folder: Path, name: str, revision: str | None, key: str) -> None:
    if revision is None or (found := identity(folder)) == revision:
        return
    parent = key.rpartition(".")[0]
    raise ConfigurationError(
        f"{key}={name!r}: the folder changed since its revision {revision[:12]} was recorded; it "
        f"is {found[:12]} now. Restore the files, or set {parent}.revision=null to use it as it is"
    )


def _from_hub(name: str, *, revision: str | None, of_weights: tuple[str, ...], key: str) -> Path:
    be_quiet()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    options: dict[str, Any] = {
        "allow_patterns": [*WANTED, *of_weights],
        "ignore_patterns": [*OTHER_FOLDERS],
    }
    try:
        if revision and COMMIT.fullmatch(
            revision
        ):  # a commit never changes: try the local copy first
            with suppress(LocalEntryNotFoundError):
                copy = Path(
                    snapshot_download(name, revision=revision, local_files_only=True, **options)
                )
                if not of_weights or _has_files(copy, of_weights):  # it may lack weights
                    return copy
        return Path(snapshot_download(name, revision=revision, **options))
    except Exception as error:
        raise ConfigurationError(_not_found(name, revision, key, error)) from error


def _not_found(name: str, revision: str | None, key: str, error: Exception) -> str:
    from huggingface_hub import constants

    version = f" at revision {revision}" if revision else ""
    return (
        f"{key}={name!r}: there is no such model. Looked for a folder {Path(name).absolute()}, "
        f"then for {name!r}{version} on the Hugging Face hub and its local cache "
        f"{constants.HF_HUB_CACHE}: {_why_not(error)}. Give the path of a folder that "
        "save_pretrained wrote, or download the model where there is a network and copy its folder"
    )


def _why_not(error: Exception) -> str:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.HFValidationError):
        return "this is not a valid name on the hub"
    if constants.HF_HUB_OFFLINE:
        return "offline (HF_HUB_OFFLINE is set), and there is no local copy"
    if isinstance(error, errors.GatedRepoError):
        return "accept its terms on its page, then log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the hub has the model, but not this revision"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has no model of this name, or it is private (`hf auth login`)"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return "the hub cannot be reached, and there is no local copy"
    return f"{type(error).__name__}: {_first_line(error)}"


def _refuse_pickles(folder: Path, name: str, *, key: str) -> None:
    pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    if not pickled or any(folder.glob(SAFE)):
        return
    parent = key.rpartition(".")[0]
    raise ConfigurationError(
        f"{key}={name!r}: its weights are pickled ({', '.join(pickled)}), and loading a pickle can "
        f"run any code. Convert them to safetensors, or, if you trust their source, set "
        f"{parent}.allow_pickle=true"
    )


def _require_weights(missing: set[str], auto_class: str, folder: Path) -> None:
    """Refuse missing weights, which transformers would initialise at random with only a warning."""
    lost = sorted(key for key in missing if "pooler" not in key)  # the pooler is not used
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise ConfigurationError(
            f"{folder} lacks weights of a {auto_class}: {', '.join(lost[:3])}{more}. Give a "
            "complete model of the required type"
        )


def _reason(folder: Path, error: Exception) -> str:
    try:
        own_code = "auto_map" in json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        own_code = False
    note = "; the model brings code of its own, which is never run" if own_code else ""
    return f"{_first_line(error)}{note}"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].strip() or type(error).__name__


@cache
def _identity(files: tuple[tuple[str, int, int], ...]) -> str:
    digest = sha256()
    for path, _, _ in files:
        digest.update(f"{Path(path).name}:{file_hash(Path(path))};".encode())
    return digest.hexdigest()[:40]
