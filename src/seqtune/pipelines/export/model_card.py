"""The model card of an export: what it is, what it was measured by, how to load it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from seqtune.core.metrics import PARTS
from seqtune.core.task import Report

LOADING = """\
```
pip install ./src/seqtune_serve    # of seqtune's repository; neither torch nor Kedro
seqtune-serve FOLDER
```

```python
from seqtune_serve import open_model, read_export

model = open_model(read_export("FOLDER"))
model.answer([model.example()])
```

FOLDER is this folder, or the one of all versions, of which the newest is served."""

USES = {
    "recommend": "Ranks the items of its vocabulary by how likely each comes next in a history. "
    "Items that training did not contain are unknown to it. An item of the history is "
    "recommended again only where `exclude_seen` is false.",
    "classify": "Gives each of its labels a probability for a text, and decides by a threshold of "
    "each label.",
}


def model_card(task: str, manifest: Mapping[str, Any], report: Report, measured: Report) -> str:
    """Return the card as Markdown; `measured` is the metrics report of the same model."""
    members = json.dumps({n: m["share"] for n, m in manifest["members"].items()})
    sections = {
        f"Model card: {task} {manifest['fingerprint']}": USES.get(task, ""),
        "Origin": "\n".join(
            [
                f"- {report['headline'][0]}",
                f"- fingerprint: `{manifest['fingerprint']}`",
                f"- content of the split it was trained on: `{manifest['data_hash']}`",
                f"- members and their shares: `{members}`",
            ]
        ),
        "Metrics beside baselines": "\n".join(_metrics(measured)).strip() or "Not measured.",
        "Agreement with the trained model": "\n".join(
            [
                f"On {report['checked_rows']} rows of the split:",
                "",
                *(f"- {line}" for line in report["headline"][1:]),
                "",
                "int8 quantises the inputs of a whole batch together: there, an answer can differ "
                "slightly with the requests that it was computed with.",
            ]
        ),
        "Settings": _block(
            {"answers": manifest["settings"]}
            | {name: measured[name] for name in ("config", "configs") if name in measured}
        ),
        "How to load it": LOADING,
    }
    (title, intro), *rest = sections.items()
    return "\n\n".join([f"# {title}", intro, *(f"## {t}\n\n{text}" for t, text in rest)]) + "\n"


def _metrics(measured: Report) -> Iterator[str]:
    """Yield the first table of metrics of each part."""
    for part, groups in measured.get(PARTS, {}).items():
        tables = (g for g in groups.values() if isinstance(g, Mapping) and _is_table(g))
        table = next(tables, {})
        names = list(dict.fromkeys(name for row in table.values() for name in row))
        if not names:
            continue
        yield f"\n| {part} | {' | '.join(names)} |\n|---|{'---|' * len(names)}"
        for metric, row in table.items():
            values = (row.get(name) for name in names)
            shown = ("" if value is None else f"{value:.4f}" for value in values)
            yield f"| {metric} | {' | '.join(shown)} |"


def _is_table(group: Mapping[str, Any]) -> bool:
    return all(
        isinstance(row, Mapping) and all(isinstance(v, int | float) for v in row.values())
        for row in group.values()
    )


def _block(values: Mapping[str, Any]) -> str:
    return f"```json\n{json.dumps(values, indent=2, ensure_ascii=False)}\n```"
