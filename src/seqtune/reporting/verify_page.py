"""The report of verify_env as one page of HTML: nothing to load, to be read anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --bg: #fbfbf9; --ink: #1d2125; --soft: #667079; --line: #e2e3df;
  --card: #fff; --ok: #1c7a4a; --warn: #a86500; --fail: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --bg: #15181b; --ink: #e7e9ea; --soft: #98a2ab;
  --line: #2c3237; --card: #1c2024; --ok: #5fc98f; --warn: #e5ad55; --fail: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--bg);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; color: var(--ink); font-size: 1.35rem; line-height: 1.3; }
h2 { margin: 2.25rem 0 .6rem; font-size: 1.05rem; }
p { margin: .4rem 0; }
.soft { color: var(--soft); font-size: .9rem; }
.verdict { padding: 1.1rem 1.25rem; border-radius: .6rem; background: var(--card);
  border: 1px solid var(--line); border-left: .35rem solid var(--ok); }
.verdict.warn { border-left-color: var(--warn); } .verdict.fail { border-left-color: var(--fail); }
ul { margin: 0; padding: 0; list-style: none; border-top: 1px solid var(--line); }
li { display: grid; grid-template-columns: 3.2rem 9.5rem 1fr; gap: .2rem .8rem; padding: .5rem 0;
  border-bottom: 1px solid var(--line); }
li > :last-child { white-space: pre-line; }
.status { font-weight: 650; } .ok { color: var(--ok); } .warn { color: var(--warn); }
.fail { color: var(--fail); }
.fix { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { padding: .32rem .8rem .32rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
td.value { font-family: ui-monospace, monospace; }
td small { display: block; color: var(--soft); font-family: system-ui, sans-serif; }
tr.unequal td { color: var(--fail); }
summary { cursor: pointer; padding: .4rem 0; color: var(--soft); }
@media (max-width: 36rem) { body { padding: 1rem .9rem 3rem; }
  li { grid-template-columns: 3.2rem 1fr; } li > :last-child { grid-column: 1 / -1; }
  .values tr { display: grid; grid-template-columns: 1fr 1fr;
    border-bottom: 1px solid var(--line); }
  .values td { border: 0; } .values td:first-child { grid-column: 1 / -1; padding-bottom: 0; }
  .values tr:has(th) { display: none; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; }
  .verdict, li, tr { break-inside: avoid; } }
"""


def verify_page(report: Mapping[str, Any]) -> str:
    """The page of a report as verify_env makes it."""
    title = f"verify_env: {report['task']}"
    parts = [
        _verdict(report),
        "<h2>Checks</h2>",
        _checks(report["checks"]),
        _proof(report["proof"]),
        _values(report["values"]),
        _facts(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _verdict(report: Mapping[str, Any]) -> str:
    counts = report["counts"]
    worst = next((status for status in ("fail", "warn") if counts[status]), "ok")
    lines = "".join(f"<h1>{escape(line)}</h1>" for line in report["headline"])
    told = f"{counts['ok']} checks passed, {counts['warn']} with a warning, {counts['fail']} failed"
    return f'<div class="verdict {worst}">{lines}<p class="soft">{told}</p></div>'


def _checks(checks: Iterable[Mapping[str, str]]) -> str:
    order = {"fail": 0, "warn": 1, "ok": 2}
    return f"<ul>{''.join(map(_check, sorted(checks, key=lambda c: order[c['status']])))}</ul>"


def _check(check: Mapping[str, str]) -> str:
    fix = f'\n<span class="fix">{escape(check["fix"])}</span>' if check["fix"] else ""
    return (
        f'<li><span class="status {check["status"]}">{check["status"]}</span>'
        f"<span>{escape(check['name'])}</span><span>{escape(check['message'])}{fix}</span></li>"
    )


def _proof(proof: Mapping[str, Any]) -> str:
    """The losses of both sides, step by step."""
    sides = [proof.get(name, {}).get("losses", ()) for name in ("tuning", "training")]
    if not any(sides):
        return ""
    longest = max(map(len, sides))
    rows = [
        _row([str(step + 1), *(_loss(side, step) for side in sides)], _equal(sides, step))
        for step in range(longest)
    ]
    return (
        "<h2>Losses of the first steps</h2><p class='soft'>Training ran in a process of its own; "
        "every digit must be equal.</p>"
        f"<div class='scroll'><table><tr><th>step</th><th>tuning</th><th>training</th></tr>"
        f"{''.join(rows)}</table></div>"
    )


def _values(values: Iterable[Mapping[str, Any]]) -> str:
    """Those that differ first, in the open; the equal ones folded."""
    rows = list(values)
    unequal = [row for row in rows if not row["equal"]]
    equal = [row for row in rows if row["equal"]]
    shown = f"<h2>Values that differ</h2>{_table(unequal)}" if unequal else ""
    folded = (
        f"<details><summary>all {len(equal)} of them, with the place that set each</summary>"
        f"{_table(equal)}</details>"
    )
    return f"{shown}<h2>Values that are equal</h2>{folded}"


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    head = "<tr><th>key</th><th>tuning</th><th>training</th></tr>"
    body = "".join(
        _row([escape(row["key"]), _entry(row["tuning"]), _entry(row["training"])], row["equal"])
        for row in rows
    )
    return f'<div class="scroll"><table class="values">{head}{body}</table></div>'


def _entry(entry: Mapping[str, Any]) -> str:
    if not entry:
        return "no such key"
    value = json.dumps(entry["value"], ensure_ascii=False)
    return f"{escape(value)}<small>{escape(str(entry['origin']))}</small>"


def _row(cells: list[str], is_equal: bool) -> str:
    first, *rest = cells
    values = "".join(f'<td class="value">{cell}</td>' for cell in rest)
    mark = "" if is_equal else ' class="unequal"'
    return f"<tr{mark}><td>{first}</td>{values}</tr>"


def _loss(losses: Any, step: int) -> str:
    return repr(losses[step]) if step < len(losses) else "none"


def _equal(sides: list[Any], step: int) -> bool:
    return all(step < len(side) and side[step] == sides[0][step] for side in sides)


def _facts(report: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    return (
        f"<h2>Where and with what</h2><p class='soft'>{escape(versions)}<br>data "
        f"{escape(str(report['data_hash'])[:16])}<br>fingerprint of the training side "
        f"{escape(str(report['fingerprint']))}</p>"
    )
