"""The checkpoint folder: what `training` writes and every task reads.

A fitted baseline is one too, so that it is kept, opened and weighed like a trained network.

    best.safetensors      weights of the best validated epoch
    last.safetensors      weights of the last epoch
    history.json          one row of metrics per epoch; of a baseline empty
    assets/               files of the task's own (for recommend: the vocabulary)
    checkpoint.json       the manifest; written last, so that its presence means "complete"

Nothing in it can execute code when it is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

from .config import RunConfig, Section, library_versions
from .errors import ArtifactError
from .files import sync, write_json
from .manifests import InnerPath, Manifest, read_manifest, sum_files

FORMAT_VERSION = 1
MANIFEST = "checkpoint.json"
HISTORY = "history.json"
ASSETS = "assets"

Which = Literal["best", "last"]


class Weights(Section):
    """One weights file of a checkpoint: its epoch and its metrics."""

    file: InnerPath
    sha256: str
    epoch: int
    """Epochs trained so far, counted from 1."""
    metrics: dict[str, float]


class CheckpointManifest(Manifest):
    """Everything about a checkpoint except its weights."""

    format_version: int = FORMAT_VERSION
    task: str
    fingerprint: str
    data_hash: str
    """Content hash of the split that it was trained on."""
    assets_hash: str
    """Hash of the meaning of its inputs (for recommend: the vocabulary)."""
    baseline: str = ""
    """The name of the baseline that it holds, one of `TaskSpec.baselines`; empty: a network."""
    config: dict[str, Any]
    versions: dict[str, str]
    best: Weights
    last: Weights
    epochs_planned: int
    stopped: str
    """Why training ended: finished, early stopping, time limit, asked by the caller."""
    seconds: float

    @property
    def monitor(self) -> str:
        """The metric that training monitored."""
        return str(self.config["training"]["monitor"])

    @property
    def score(self) -> float | None:
        """That metric at the best epoch; None without validation."""
        return self.best.metrics.get(self.monitor)

    def weights(self, which: Which) -> Weights:
        return self.best if which == "best" else self.last


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder that was opened and checked."""

    path: Path
    manifest: CheckpointManifest

    @property
    def assets(self) -> Path:
        return self.path / ASSETS

    def weights_path(self, which: Which) -> Path:
        """Return the weights file after comparing its hash with the manifest."""
        weights = self.manifest.weights(which)
        path = self.path / weights.file
        if not path.is_file():
            raise ArtifactError(f"checkpoint {self.path} has no {weights.file}; {NEXT_STEP}")
        if file_hash(path) != weights.sha256:
            raise ArtifactError(
                f"checkpoint {self.path}: the content of {weights.file} is not what was written "
                f"(its hash differs from the one in {MANIFEST}); {NEXT_STEP}"
            )
        return path

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        """Refuse data other than those it was trained on."""
        if self.manifest.assets_hash != assets_hash:
            raise ArtifactError(
                f"checkpoint {self.path} was trained on another data set than {what} (the "
                f"meaning of its inputs has the hash {self.manifest.assets_hash[:12]}, not "
                f"{assets_hash[:12]}). Train again (`kedro run --pipelines "
                f"{self.manifest.task}.train`) or choose the matching version with --load-versions"
            )


NEXT_STEP = "choose another version with --load-versions, or train again"


def open_checkpoint(path: Path) -> Checkpoint:
    """Read and check the manifest of a checkpoint folder."""
    manifest = read_manifest(
        path,
        MANIFEST,
        CheckpointManifest,
        what="checkpoint",
        version=FORMAT_VERSION,
        hint=NEXT_STEP,
    )
    return Checkpoint(path, manifest)


def write_manifest(
    folder: Path,
    config: RunConfig,
    *,
    libraries: Iterable[str] = (),
    **facts: Any,
) -> None:
    """Flush the assets of a checkpoint and write its manifest, with `facts` about its data and its
    weights."""
    assets = [*(folder / ASSETS).rglob("*")]
    for path in (*assets, folder / ASSETS):
        sync(path)
    manifest = CheckpointManifest(
        files=sum_files(folder, [folder / HISTORY, *assets]),
        task=config.task,
        config=config.model_dump(mode="json"),
        versions=library_versions((*config.libraries, *libraries)),
        **facts,
    )
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))


def file_hash(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
