"""The command line: `python -m peers` in the folder of benchmarks."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from pathlib import Path

from _harness import ROOT, Report

from ._serving import Settings
from .notes import DIFFERENCES
from .page import write_tables
from .race import Race
from .roster import BY_DEFAULT, ENTRANTS, chosen
from .work import movielens, real_tokens


def main() -> None:
    arguments = parse_arguments()
    entrants = chosen(arguments.peers)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    if arguments.device == "cuda":
        import torch

        torch.cuda.init()  # type: ignore[no-untyped-call]  # so that the report names the GPU
    data = movielens(arguments.users)
    settings = Settings(
        threads=arguments.threads, device=arguments.device, last_item=arguments.last_item
    )
    report = Report("peers", title="BERT4Rec of four libraries at the same work")
    report.text(
        introduction(settings, data.num_users, tokens := real_tokens(data, settings.length))
    )
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        race = Race(data, settings, arguments.venvs, arguments.rounds, Path(scratch))
        found = race.run(entrants, equal_seconds=60 * arguments.equal_minutes)
    write_tables(
        report, found, tokens=tokens, minutes=arguments.equal_minutes, num_users=data.num_users
    )
    report.text(DIFFERENCES.format(last_item=settings.last_item, eval_batch=settings.eval_batch))
    if arguments.users is None:
        report.write()
    else:
        print(report.markdown())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument(
        "--peers", default=",".join(BY_DEFAULT), help=f"all, or some of {', '.join(ENTRANTS)}"
    )
    parser.add_argument("--rounds", type=int, default=3, help="after one that is not counted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--users", type=int, help="a try on the first few; keeps no report")
    parser.add_argument("--equal-minutes", type=float, default=5.0, help="0: leave it out")
    parser.add_argument(
        "--last-item", type=float, default=0.0, help="share of samples that mask only the last item"
    )
    parser.add_argument("--venvs", type=Path, default=ROOT / "build" / "peers")
    return parser.parse_args()


def introduction(settings: Settings, num_users: int, tokens: int) -> str:
    command = shlex.join(sys.argv[1:])
    work = (
        f"MovieLens-1M (`ml-1m.txt`), protocol P1: the last item of each of {num_users} users is "
        f"test, the one before valid, the rest training: {tokens:,} items an epoch, users cut to "
        f"their last {settings.length}. Hidden {settings.hidden}, {settings.layers} layers, "
        f"{settings.heads} heads, batch {settings.batch}, mask {settings.mask}, dropout "
        f"{settings.dropout} everywhere, on attention too, learning rate {settings.lr}, "
        f"{settings.threads} thread(s), {settings.device}. Each library in its own environment "
        "and process; one works at a time, in turns, after a round that is not counted. Median ± "
        "half of the range; x: over the first row of ours."
    )
    return f"`make bench-peers{f' ARGS={command!r}' if command else ''}`\n\n{work}"


if __name__ == "__main__":
    main()
