"""What can summarise, whatever it is made of: a checkpoint, or an ensemble of several.

Each member of an ensemble writes in its own way of decoding; which of their summaries is taken is
decided by minimum Bayes risk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from seqtune.contracts.checkpoint import Which
from seqtune.contracts.ensemble import Ensemble, is_ensemble, open_ensemble
from seqtune.contracts.errors import ConfigurationError
from seqtune.contracts.task import Report
from seqtune.opened import Described, place

from .decoding import Written
from .params import SummarizeConfig
from .risk import agreement, choose
from .scorer import Summarizer, describe, load_summarizer

SCALE = "minimum_bayes_risk"


class Writer(Protocol):
    """Weights that no longer change, and all that their users need to know of them."""

    @property
    def path(self) -> Path:
        """The folder that it was opened from."""

    @property
    def config(self) -> SummarizeConfig: ...

    @property
    def data_hash(self) -> str:
        """Content hash of the split that it was trained on."""

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        """Refuse to be used with other data than it was trained on."""

    def summarise(self, dialogues: Sequence[str], *, batch_size: int) -> Written:
        """A summary of each dialogue, in the form of the data."""

    def summarise_each(
        self, lists: Sequence[Sequence[str]], *, batch_size: int
    ) -> Iterator[Written]:
        """The same of several lists one after another."""

    def identity(self) -> Report:
        """Which weights these are, for reports."""

    def configuration(self) -> Report:
        """How they came to be, for reports."""


@dataclass(frozen=True)
class LoadedEnsemble:
    """The members of an ensemble that count, all on one device.

    One of them is in memory at a time, unless they are kept.
    """

    ensemble: Ensemble
    members: Mapping[str, Described[SummarizeConfig]]
    """In the order of the manifest, by name."""
    device: str
    kept: Mapping[str, Summarizer] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.ensemble.path

    @property
    def config(self) -> SummarizeConfig:
        """The first member's: what it says of reading and evaluating holds for all."""
        return next(iter(self.members.values())).config

    @property
    def data_hash(self) -> str:
        return self.ensemble.manifest.data_hash

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        for member in self.members.values():
            member.require_assets(assets_hash, what=what)

    def summarise(self, dialogues: Sequence[str], *, batch_size: int) -> Written:
        """Of each dialogue the summary that the members agree with most."""
        return next(self.summarise_each([dialogues], batch_size=batch_size))

    def summarise_each(
        self, lists: Sequence[Sequence[str]], *, batch_size: int
    ) -> Iterator[Written]:
        """A member writes of all lists before the next one is opened."""
        by_member = [self._written(name, lists, batch_size=batch_size) for name in self.members]
        return self.choose_each(by_member)

    def choose_each(self, by_member: Sequence[Sequence[Written]]) -> Iterator[Written]:
        """One summary of each dialogue, of what all members have written of several lists."""
        shares = np.array([member.weight for member in self.ensemble.manifest.used])
        for written in zip(*by_member, strict=True):
            yield chosen(written, shares, tokenizer=self.config.evaluation.tokenizer)

    def kept_open(self) -> LoadedEnsemble:
        """The same with all members in memory, for whoever asks again and again."""
        return replace(self, kept={name: self._open(name) for name in self.members})

    def identity(self) -> Report:
        return self.ensemble.identity()

    def configuration(self) -> Report:
        """How each member was trained, for reports."""
        found = {name: member.configuration()["config"] for name, member in self.members.items()}
        return {"configs": found}

    def _written(
        self, name: str, lists: Sequence[Sequence[str]], *, batch_size: int
    ) -> list[Written]:
        """What one member makes of all lists; its room is free again when it is done."""
        member = self.kept.get(name) or self._open(name)
        return list(member.summarise_each(lists, batch_size=batch_size))

    def _open(self, name: str) -> Summarizer:
        return load_summarizer(self.members[name].path, device=self.device)


Told = Described[SummarizeConfig] | LoadedEnsemble
"""What a folder says of itself, while its models lie on the disk."""


def chosen(written: Sequence[Written], shares: np.ndarray, *, tokenizer: str) -> Written:
    """Of what several wrote, one summary of each row; it takes the time of all."""
    if len(written) == 1:
        return written[0]
    texts = list(zip(*(one.texts for one in written), strict=True))
    rows = choose(agreement(texts, tokenizer=tokenizer), shares)
    is_cut = [one.is_cut for one in written]
    return Written(
        [own[member] for own, member in zip(texts, rows, strict=True)],
        np.array([is_cut[member][row] for row, member in enumerate(rows)], np.bool_),
        sum(one.seconds_per_row for one in written),
    )


def describe_model(path: Path, which: Which = "best") -> Told:
    """Read what a checkpoint or an ensemble folder says of itself; models stay on the disk."""
    return load_ensemble(path, which) if is_ensemble(path) else describe(path, which)


def open_model(path: Path, which: Which = "best", *, device: str | None = None) -> Writer:
    """Open a checkpoint or an ensemble folder; an ensemble has its `best` weights only.

    `device` is where to compute; without one, where it was trained.
    """
    if is_ensemble(path):
        return load_ensemble(path, which, device=device)
    return load_summarizer(path, which, device=device)


def load_ensemble(
    path: Path, which: Which = "best", *, device: str | None = None
) -> LoadedEnsemble:
    """Open an ensemble folder; its members wait on the disk."""
    ensemble = open_ensemble(path)
    ensemble.require_usable("summarize", which, scales=(SCALE,))
    ensemble.checkpoints()  # that they are those it was made with
    members = {name: describe(folder) for name, folder in ensemble.member_paths().items()}
    configs = {name: member.config for name, member in members.items()}
    refuse_disagreement(configs)
    first = next(iter(configs.values()))
    return LoadedEnsemble(ensemble, members, str(place(device, first.training.accelerator)))


def refuse_disagreement(configs: Mapping[str, SummarizeConfig]) -> None:
    """Members must be scored alike, as what they agree on is measured by it."""
    (reference, first), *others = configs.items()
    for name, config in others:
        for key in ("tokenizer", "references"):
            ours, theirs = getattr(first.evaluation, key), getattr(config.evaluation, key)
            if ours != theirs:
                raise ConfigurationError(
                    f"members {reference} and {name} cannot be combined: evaluation.{key} is "
                    f"{ours} in one and {theirs} in the other; train both with the same"
                )
