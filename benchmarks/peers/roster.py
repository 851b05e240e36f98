"""Who takes part."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

OURS = "seqtune"
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Entrant:
    """A library under one setting."""

    title: str
    library: str
    precision: str
    """In words; a server that decides itself says what it took."""
    options: dict[str, str] = field(default_factory=dict)

    @property
    def server(self) -> Path:
        return HERE / f"_{self.library}.py"


LIBRARIES = {"recbole": "recbole", "rectools": "rectools", "replay": "replay-rec"}
"""Of the peers, by the name of their environment: the distribution that is pinned."""
AUTO, FULL, MIXED = "auto", "fp32", "bf16"
ENTRANTS = {
    "ours": Entrant("seqtune", OURS, AUTO),
    "ours-no-attention-dropout": Entrant(
        "seqtune, no dropout on attention", OURS, AUTO, {"attention_dropout": "no"}
    ),
    "ours-fp32": Entrant("seqtune, fp32", OURS, FULL, {"precision": "fp32"}),
    "rectools": Entrant("RecTools", "rectools", FULL),
    "recbole": Entrant("RecBole", "recbole", FULL),
    "replay": Entrant("RePlay", "replay", FULL),
    "rectools-bf16": Entrant("RecTools, bf16", "rectools", MIXED, {"precision": "bf16-mixed"}),
    "recbole-bf16": Entrant("RecBole, enable_amp", "recbole", MIXED, {"precision": "bf16"}),
    "replay-bf16": Entrant("RePlay, bf16", "replay", MIXED, {"precision": "bf16-mixed"}),
    "replay-masked": Entrant("RePlay, CE_restricted", "replay", FULL, {"loss": "CE_restricted"}),
}
BY_DEFAULT = ("ours", "ours-no-attention-dropout", "ours-fp32", "rectools", "recbole", "replay")


def chosen(names: str) -> dict[str, Entrant]:
    """Those of a list with commas, or `all`; raises ValueError at a name that nobody has."""
    wanted = list(ENTRANTS) if names == "all" else names.split(",")
    if unknown := [name for name in wanted if name not in ENTRANTS]:
        raise ValueError(
            f"--peers {','.join(unknown)}: nobody has that name; choose from all, "
            f"{', '.join(ENTRANTS)}"
        )
    return {name: ENTRANTS[name] for name in wanted}
