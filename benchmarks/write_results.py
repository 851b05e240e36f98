"""Write docs/results.md from stored runs (reports/data/*_runs.jsonl) and published.yml.

    python benchmarks/write_results.py

A run counts if its test was opened. Runs of one name on one data set are the seeds of one row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from _datasets import FILES, READ
from _dialogsum_lora import OUT as SUMMARIZE_RUNS
from _harness import ROOT, read_lines
from _unsmile import FILES as UNSMILE_FILES
from quality_recommend import read_runs
from quality_unsmile import OUT as CLASSIFY_RUNS

PAGE = ROOT / "docs" / "results.md"
NAMES = {
    "default": "**our default**: `kedro run`, preset `auto`",
    "ensemble": "ensemble of the seeds of our default, weighed on valid",
    "tuned, 2h": "tuned for two hours: `--pipelines tune,train --params tuning.budget=2h`",
    "bert4rec": "our BERT4Rec: preset `bert4rec`, hidden 64",
    "RecTools SASRec": "RecTools 0.19, SASRec with its defaults, stopped early on valid",
}
FLOORS = {
    "item_to_item": "baseline: item to item",
    "markov": "baseline: first-order Markov",
    "popularity": "baseline: popularity",
}
CLASSIFIERS = {
    "e5": "multilingual-e5-small, fine-tuned: preset `e5`",
    "fast": "multilingual-e5-small as it is, a trained head: preset `fast`",
    "scratch": "a small BERT from scratch",
    "e5 with tfidf": "an ensemble of that with TF-IDF, weighed on valid",
}
CLASSIFY_FLOORS = {
    ("tfidf_tuned", "tfidf"): "baseline: TF-IDF with logistic regression",
    ("prior", "prior"): "baseline: the share of each label",
}
"""By name with thresholds, and at 0.5."""
INTRODUCTION = """# Results

## recommend

Test metrics: full ranking over all items, items of the history excluded, last item
test, the one before valid. Everything was chosen on valid; test was opened once for each final
configuration. Several seeds: the median, and the range. Minutes are those of training on one thread
beside other work, up to five times those of a quiet core. The ensemble of ml-1m has two members,
seeds 42 and 44.
The data are not part of this repository; put a file where `conf/local/catalog.yml` says, or let a
benchmark read it:

```
python benchmarks/quality_recommend.py benchmarks/results_queue.yml --keep FOLDER
python benchmarks/quality_ensemble.py toys ml-100k ml-latest-small --keep FOLDER
python benchmarks/quality_tuned.py ml-latest-small --budget 2h --keep FOLDER
python benchmarks/quality_rectools.py ml-100k --seeds 42
python benchmarks/write_results.py
```

Written by `benchmarks/write_results.py`; what is not in a table was not run.
"""
Runs = Sequence[Mapping[str, Any]]


def main() -> None:
    published = yaml.safe_load((Path(__file__).parent / "published.yml").read_text("utf-8"))
    runs = [run for run in read_runs() if run["test"] is not None]
    parts = [INTRODUCTION]
    for data in FILES:
        own = [run for run in runs if run["data"] == data]
        parts += section(data, own, published[data])
    parts += classify_section(read_lines(CLASSIFY_RUNS), published["unsmile"])
    parts += summarize_section(read_lines(SUMMARIZE_RUNS), published["dialogsum"])
    PAGE.write_text("\n".join(parts), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


def section(data: str, runs: Runs, published: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {data}\n\n`{FILES[data]}`, {published['protocol']}.\n"
    rows = [*(row(name, runs) for name in NAMES), *floors(runs)]
    found = [one for one in rows if one]
    found += published_rows(published, METRICS)
    yield from table(["NDCG@10", "HR@10", "seeds", "minutes"], found)
    yield from map(describe_gain, (run for run in runs if run.get("gain")))
    keys = ", ".join(f"`recommend.{key}: {json.dumps(value)}`" for key, value in READ[data].items())
    yield f"To read the file, in `conf/local/parameters_recommend.yml`: {keys}.\n"


def describe_gain(run: Mapping[str, Any]) -> str:
    """Say what a search brought, over seeds that it had not seen."""
    gain, trials = run["gain"], sum(sum(states.values()) for states in run["trials"].values())
    workers = run["set"]["workers"]
    cost = "one worker" if str(workers) == "1" else f"workers: {workers}"
    kept = "" if gain["mean"] > gain["error"] else ", so that the default stayed"
    return (
        f"The search ({trials} trials, {cost}, {run['cpu']}) brought {gain['mean']:+.4f} +- "
        f"{gain['error']:.4f} ({gain['share']:+.1%}) of NDCG@10 on valid over the default{kept}.\n"
    )


GROUPS = ("tuned", "at_half")
CLASSIFY = """## classify

Macro F1 on test. A label is given from its own threshold on, which was found on valid (for TF-IDF
on rows held out of the training part), or from a probability of 0.5 on. Everything was chosen on
valid; test was opened once for each final configuration. Minutes are those of training on one
thread beside other work.

```
python benchmarks/pretrained.py e5 --to FOLDER/e5
python benchmarks/quality_unsmile.py fast --model FOLDER/e5 --keep FOLDER --test
python benchmarks/write_results.py
```
"""


def classify_section(runs: Runs, published: Mapping[str, Any]) -> Iterator[str]:
    yield CLASSIFY
    yield f"### unsmile\n\n`{UNSMILE_FILES['test_texts']}`, {published['protocol']}.\n"
    opened = [run["test"] | run for run in runs if run["test"] is not None]
    found = [classify_row(name, opened) for name in CLASSIFIERS]
    for (tuned, half), label in CLASSIFY_FLOORS.items():
        scores = [(run["tuned"][tuned], run["at_half"][half]) for run in opened[:1]]
        found += [[label, *(f"{score:.4f}" for score in both), "", ""] for both in scores]
    found = [one for one in found if one] + published_rows(published, GROUPS)
    yield from table(["thresholds", "at 0.5", "seeds", "minutes"], found)


def classify_row(name: str, runs: Runs) -> list[str]:
    own = [run for run in runs if run["name"] == name]
    if not own:
        return []
    scores = ([run[group]["model"] for run in own if run[group]] for group in GROUPS)
    cells = [spread(some) if some else "" for some in scores]
    minutes = f"{median(run['minutes'] for run in own):.0f}"
    return [CLASSIFIERS[name], *cells, str(len(own)), minutes]


ROUGE = ("rouge1", "rouge2", "rougeL", "rouge_sum")
SUMMARIZERS = {"gemma": "gemma-3-270m"}
SUMMARIZE_FLOORS = {
    "lead_3": "baseline: the first three utterances",
    "longest_sentence": "baseline: the longest sentence",
}
SUMMARIZE = """## summarize

ROUGE F1 on test, on words, without stemming, each with the reference that scores best; the sum is
that of the three. The model is a base model without a chat template, its weights rounded to 4 bits,
trained with LoRA (rank 16) for one epoch on some of the dialogues. Minutes are processor time of
the training alone, on one thread.

```
python benchmarks/pretrained.py gemma --to FOLDER/gemma
python benchmarks/quality_dialogsum.py --model FOLDER/gemma --dialogues 0 500 --keep FOLDER
python benchmarks/write_results.py
```
"""


def summarize_section(runs: Runs, published: Mapping[str, Any]) -> Iterator[str]:
    if not runs:
        return
    yield SUMMARIZE
    yield f"### dialogsum\n\n{runs[0]['test_rows']} dialogues of test, {published['protocol']}.\n"
    rows = [summarize_row(run) for run in runs]
    for name, label in SUMMARIZE_FLOORS.items():
        rows.append([label, *rouge_cells(runs[0]["test"], name), ""])
    rows += published_rows(published, ROUGE)
    yield from table(["ROUGE-1", "ROUGE-2", "ROUGE-L", "sum", "words", "minutes"], rows)
    yield f"The references have {runs[0]['test']['mean_words_of_references']:.1f} words.\n"


def summarize_row(run: Mapping[str, Any]) -> list[str]:
    trained = f"after {run['dialogues']:,} dialogues" if run["dialogues"] else "untrained"
    label = f"{SUMMARIZERS.get(run['name'], run['name'])}, {trained}"
    return [label, *rouge_cells(run["test"], "model"), f"{run['minutes']:.0f}"]


def rouge_cells(test: Mapping[str, Any], name: str) -> list[str]:
    """ROUGE and the mean number of words."""
    scores = [f"{test['rouge'][metric][name]:.4f}" for metric in ROUGE]
    return [*scores, f"{test['lengths']['mean_words'][name]:.1f}"]


METRICS = ("ndcg@10", "hit@10")


def row(name: str, runs: Runs) -> list[str]:
    own = [run for run in runs if run["name"] == name]
    if not own:
        return []
    cells = [spread([run["test"]["model"][metric] for run in own]) for metric in METRICS]
    minutes = f"{median(run['minutes'] for run in own):.0f}"
    return [NAMES[name], *cells, str(len(own)), minutes]


def published_rows(published: Mapping[str, Any], metrics: Sequence[str]) -> list[list[str]]:
    """Results of others; the last two columns are ours alone."""
    return [
        [
            f"{one['what']} ({one['source']})",
            *(f"{one[metric]:.4f}" if metric in one else "" for metric in metrics),
            "",
            "",
        ]
        for one in published["results"]
    ]


def table(columns: Sequence[str], rows: list[list[str]]) -> Iterator[str]:
    """A table in Markdown, the best first by its first number."""
    rows = sorted(rows, key=lambda cells: cells[1], reverse=True)
    yield f"| | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}"
    yield "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"


def spread(values: Sequence[float]) -> str:
    middle = f"{median(values):.4f}"
    return f"{middle} ({min(values):.4f}-{max(values):.4f})" if len(values) > 1 else middle


def floors(runs: Runs) -> Iterator[list[str]]:
    for name, label in FLOORS.items():
        found = next((run["test"][name] for run in runs if name in run["test"]), None)
        if found:
            yield [label, *(f"{found[metric]:.4f}" for metric in METRICS), "", ""]


if __name__ == "__main__":
    main()
