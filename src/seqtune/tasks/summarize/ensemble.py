"""Summarise with a checkpoint or an ensemble folder.

Each member of an ensemble decodes with its own settings; minimum Bayes risk chooses among their
summaries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from seqtune.core.checkpoint import Which
from seqtune.core.errors import ConfigurationError
from seqtune.inference import CheckpointInfo, ModelEnsemble, load_members, select_device

from .decoder import GeneratedTexts
from .loading import load_summarizer
from .mbr import agreement, choose
from .params import SummarizeConfig
from .scorer import Summarizer, describe

SCALE = "minimum_bayes_risk"


@dataclass(frozen=True)
class SummarizerEnsemble(ModelEnsemble[CheckpointInfo[SummarizeConfig], SummarizeConfig]):
    """Members on disk; one of them is in memory at a time, unless `load` was called."""

    device: str | None = None
    loaded: Mapping[str, Summarizer] = field(default_factory=dict)

    def summarise(self, dialogues: Sequence[str], *, batch_size: int) -> GeneratedTexts:
        """Return for each dialogue the summary that the members agree with most."""
        return next(self.summarise_each([dialogues], batch_size=batch_size))

    def summarise_each(
        self, lists: Sequence[Sequence[str]], *, batch_size: int
    ) -> Iterator[GeneratedTexts]:
        """Summarise several lists; a member writes all of them before the next one is loaded."""
        by_member = [self._write(name, lists, batch_size=batch_size) for name in self.members]
        return self.choose_each(by_member)

    def choose_each(
        self, by_member: Sequence[Sequence[GeneratedTexts]]
    ) -> Iterator[GeneratedTexts]:
        """Choose one summary for each dialogue of several lists."""
        shares = np.array([*self.shares.values()])
        for written in zip(*by_member, strict=True):
            yield _chosen(written, shares, tokenizer=self.config.evaluation.tokenizer)

    def load(self) -> Self:
        """Load all members into memory."""
        if self.loaded:
            return self
        which = self.first.which
        loaded = load_members(self.paths, load_summarizer, which, device=self.device)
        return replace(self, loaded=loaded)

    def _write(
        self, name: str, lists: Sequence[Sequence[str]], *, batch_size: int
    ) -> list[GeneratedTexts]:
        """Summarise all lists with one member, and free its memory."""
        info = self.members[name]
        member = self.loaded.get(name) or load_summarizer(info.path, info.which, device=self.device)
        return list(member.summarise_each(lists, batch_size=batch_size))


def _chosen(
    written: Sequence[GeneratedTexts], shares: np.ndarray, *, tokenizer: str
) -> GeneratedTexts:
    """Choose one summary for each row; the time is the sum over members."""
    if len(written) == 1:
        return written[0]
    texts = list(zip(*(one.texts for one in written), strict=True))
    rows = choose(agreement(texts, tokenizer=tokenizer), shares)
    is_cut = [one.is_cut for one in written]
    return GeneratedTexts(
        [own[member] for own, member in zip(texts, rows, strict=True)],
        np.array([is_cut[member][row] for row, member in enumerate(rows)], np.bool_),
        sum(one.seconds_per_row for one in written),
    )


def describe_model(path: Path, which: Which = "best") -> SummarizerEnsemble:
    """Read the manifests of a checkpoint or an ensemble folder; models stay on disk."""
    return SummarizerEnsemble.read(
        path,
        which,
        describe,
        task="summarize",
        scales=(SCALE,),
        require_compatible=require_compatible,
    )


def open_model(
    path: Path, which: Which = "best", *, device: str | None = None
) -> SummarizerEnsemble:
    """Open an ensemble, whose members stay on disk, or load a checkpoint."""
    info = describe_model(path, which)
    where = str(select_device(device, info.config.training.accelerator))
    opened = replace(info, device=where)
    return opened if opened.ensemble else opened.load()


def require_compatible(members: Mapping[str, CheckpointInfo[SummarizeConfig]]) -> None:
    """Refuse members that are scored differently: their agreement is measured by that score."""
    (reference, first), *others = members.items()
    for name, member in others:
        for key in ("tokenizer", "references"):
            ours, theirs = (getattr(one.config.evaluation, key) for one in (first, member))
            if ours != theirs:
                raise ConfigurationError(
                    f"members {reference} and {name} cannot be combined: evaluation.{key} is "
                    f"{ours} in one and {theirs} in the other; train both with the same"
                )
