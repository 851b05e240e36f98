"""Write docs/guide/parameters.md from the classes that check the parameters: `make docs`.

A row says what a class says: bounds and defaults from pydantic, words from the docstring of the
attribute, or where there is none from the comment in conf/base. A test writes the page anew and
compares, so that it cannot drift.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import yaml

from seqtune.core.config import (
    ClusterConfig,
    CompareConfig,
    EnsembleConfig,
    ExportConfig,
    RefreshConfig,
    Section,
    ValidateConfig,
    VerifyConfig,
)
from seqtune.core.resolve import flatten
from seqtune.core.sample import SampleParameters
from seqtune.run_report.write import ReportConfig
from seqtune.tasks import find_tasks
from seqtune.tracking.config import TrackingConfig
from seqtune.tuning.budgets.sizes import BUDGETS
from seqtune.tuning.config import StageConfig, TuningConfig
from seqtune.tuning.sampling.registry import PRUNERS, SAMPLERS
from seqtune.tuning.spaces.parameter import Parameter
from seqtune.tuning.spaces.parsing import FIELDS
from seqtune.tuning.spaces.space import parse_space

REPOSITORY = Path(__file__).resolve().parents[1]
BASE = REPOSITORY / "conf" / "base"
PAGE = REPOSITORY / "docs" / "guide" / "parameters.md"


@dataclass(frozen=True)
class Group:
    """Parameters below one key, and the class that checks them."""

    key: str
    section: type[Section]
    left_out: tuple[str, ...] = ()


def _groups_of_tasks() -> Iterator[Group]:
    for task in find_tasks():
        parsed = task.parse_parameters(values={}, runtime={}, origins={})
        yield Group(task.name, parsed.config_class, left_out=("task",))
        yield Group(f"{task.name}.predict", type(parsed.predict))


TASKS = tuple(task.name for task in find_tasks())
GROUPS = (
    *_groups_of_tasks(),
    Group("tuning", TuningConfig),
    Group("verify_env", VerifyConfig),
    Group("validate", ValidateConfig),
    Group("export", ExportConfig),
    Group("ensemble", EnsembleConfig),
    Group("refresh", RefreshConfig),
    Group("compare", CompareConfig),
    Group("report", ReportConfig),
    Group("tracking", TrackingConfig),
    Group("cluster", ClusterConfig),
    Group("sample", SampleParameters),
)
"""Every class whose values stand in conf/base; a group there that is not listed fails a test."""
OF_A_TASK = {
    "preset": ("text", "{preset}", "A name of `{task}.presets`, {words}."),
    "presets": ("mapping", "see below", "Values under names; a preset may set what is null in "
                "`conf/base`."),
    "auto": ("list of rules", "see below", "Rules of the preset `auto`: values, `when` they are "
             "set, and why (`because`)."),
    "best_config": ("`auto`, `ignore`", "auto", "auto: train with the best configuration that "
                    "tuning found, where there is one. ignore: without it."),
    "tuning": ("mapping", "see below", "`spaces`, `space` (`default`, or a name of "
               "`other_spaces`), and overrides of `tuning` for this task alone."),
    "dry_run": ("`true`, `false`", "false", "On the command line alone: read, split, take a few "
                "steps, say what a run would take, and stop."),
}  # fmt: skip
"""Keys of a task that no class holds: they say how its configuration is put together."""
SPACE_FIELDS = {
    "type": "`float`, `int` or `categorical`.",
    "low": "float, int: the smallest value, itself included.",
    "high": "float, int: the largest value, itself included.",
    "step": "float, int: distance between values; it must reach `high` from `low`. Not with `log`.",
    "log": "float, int: search on the logarithmic scale; `low` must be above 0.",
    "floor": "float, int: narrowing never goes below it.",
    "choices": "categorical: the values; numbers, texts, true, false or null.",
    "group": "A name for `tuning.strategy.groups`; not `all`.",
    "when": "`{other.key: [value, ...]}`: it exists only where another searched parameter has one "
    "of these values.",
    "warn_below": "The analysis says so where the best trials lie below it.",
    "warn_above": "The analysis says so where the best trials lie above it.",
}


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for group in GROUPS:
        parts += _group(group)
    for task in TASKS:
        parts += [*_spaces(task), *_auto(task), *_presets(task)]
    return "\n\n".join([*parts, *_budgets(), *_samplers_and_pruners()]) + "\n"


def known_keys() -> set[str]:
    """Every dotted key that may be given, groups of keys included."""
    keys = {f"{task}.{key}" for task in TASKS for key in OF_A_TASK}
    for group in GROUPS:
        keys |= {group.key}
        keys |= {f"{group.key}.{key}" for key in _all_keys(group.section)}
    keys |= {key.replace(".stages.quick", ".stages.<stage>") for key in keys}
    for task in TASKS:
        keys |= {f"{task}.{key}" for key in keys if key.startswith("tuning")}
        spaces = yaml_values(task)[task]["tuning"]
        prefixes = [f"{task}.tuning.{key}" for key, _ in flatten(spaces)]
        keys |= {".".join(p.split(".")[:n]) for p in prefixes for n in range(1, p.count(".") + 2)}
    return keys


def undescribed() -> list[str]:
    """Keys that neither a docstring nor a comment explains."""
    return sorted(row.key for group in GROUPS for row in _rows(group) if not row.text)


# ---- rows ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    key: str
    allowed: str
    default: str
    text: str

    def __str__(self) -> str:
        cells = (f"`{self.key}`", self.allowed, self.default, self.text)
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _group(group: Group) -> Iterator[str]:
    """Headings and tables: the group's own keys, then one table for each section in it."""
    yield f"## {group.key}"
    own, place = (_docstring(group.section) or "").strip(), _place(group.key)
    yield f"{own}\n\n{place}".strip()
    tables: dict[str, list[Row]] = {"": []}
    depth = group.key.count(".") + 1
    for row in [*_own_rows(group), *_rows(group)]:
        parts = row.key.split(".")
        tables.setdefault(parts[depth] if len(parts) > depth + 1 else "", []).append(row)
    for name, rows in tables.items():
        if not rows:
            continue
        if name:
            yield f"### {group.key}.{name}"
            if told := _docstring(_section_of(group.section, name)):
                yield told
        yield _table(("parameter", "allowed", "default", "what it does"), map(str, rows))
        if name == "stages":
            yield _stage_defaults(group)


def _own_rows(group: Group) -> Iterator[Row]:
    if group.key not in TASKS:
        return
    preset = yaml_values(group.key)[group.key]["preset"]
    words = "`auto` or `none`" if preset == "auto" else "or `none`"
    for key, (allowed, default, text) in OF_A_TASK.items():
        shown = default.format(preset=preset)
        said = text.format(task=group.key, words=words)
        yield Row(f"{group.key}.{key}", allowed, shown if " " in shown else f"`{shown}`", said)


def _rows(group: Group) -> Iterator[Row]:
    for row in _section_rows(group.section, group.key, group.section()):
        if row.key.removeprefix(f"{group.key}.") not in group.left_out:
            yield row


def _section_rows(section: type[Section], key: str, defaults: Section | None) -> Iterator[Row]:
    """Every parameter below a section; entries of a list of sections as `key[].name`."""
    schema = section.model_json_schema()
    for name, field in section.model_fields.items():
        below, inner = f"{key}.{name}", _inner(field.annotation)
        if inner and _is_list(field.annotation):
            yield _row(below, name, section, schema, defaults)
            yield from _section_rows(inner, f"{below}[]", None)
        elif inner is StageConfig:
            if name == "quick":  # all stages have the same keys
                yield from _section_rows(inner, f"{key}.<stage>", inner())
        elif inner:
            yield from _section_rows(inner, below, getattr(defaults, name))
        else:
            yield _row(below, name, section, schema, defaults)


def _row(
    key: str, name: str, section: type[Section], schema: dict[str, Any], defaults: Section | None
) -> Row:
    field = section.model_fields[name]
    default = getattr(defaults, name) if defaults is not None else field.get_default()
    shown = "required" if defaults is None and field.is_required() else f"`{_inline(default)}`"
    if _is_left_open(key):
        shown += " unless the preset has another"
    allowed = _allowed(schema["properties"][name], schema.get("$defs", {}))
    text = _attribute_docstrings(section).get(name) or _comments().get(key.replace("[]", ""), "")
    return Row(key, allowed, shown, " ".join(text.split()))


def _is_left_open(key: str) -> bool:
    """Whether conf/base leaves it to the presets."""
    task, _, own = key.partition(".")
    if task not in TASKS:
        return False
    values = yaml_values(task)[task]
    choices = [*values["presets"].values(), *values.get("auto", [])]
    return any(own == one for choice in choices for one, _ in flatten(choice))


def _stage_defaults(group: Group) -> str:
    """What a stage has that the others have not."""
    stages, plain = group.section().stages.model_dump(), StageConfig().model_dump()  # type: ignore[attr-defined]
    other = [
        f"`{group.key}.stages.{stage}.{name}` is `{_inline(value)}`"
        for stage, values in stages.items()
        for name, value in values.items()
        if value != plain[name]
    ]
    return f"`<stage>` is one of {', '.join(f'`{s}`' for s in stages)}. {'; '.join(other)}."


# ---- types ---------------------------------------------------------------------------------------


def _allowed(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return ", ".join(_allowed(one, definitions) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"`{_inline(value)}`" for value in values)
    if schema.get("type") == "array":
        item = schema.get("items", {})
        return "list of mappings" if "$ref" in item else f"list of {_allowed(item, definitions)}"
    words = {"integer": "int", "number": "number", "string": "text", "object": "mapping",
             "null": "null", "boolean": "`true`, `false`"}  # fmt: skip
    word = words.get(str(schema.get("type")), "any")
    if schema.get("maxLength") == 1:
        return "one character"
    return f"{word} {_bounds(schema)}".strip()


def _bounds(schema: Mapping[str, Any]) -> str:
    names = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    found = [f"{sign} {_number(schema[name])}" for name, sign in names.items() if name in schema]
    return " and ".join(found)


def _number(value: float) -> str:
    return "2^32" if value == 2**32 else f"{value:g}"


def _inner(annotation: Any) -> type[Section] | None:
    """The section that an annotation is, in its default variant, or holds a list of."""
    if isinstance(annotation, type):
        return annotation.variant({}) if issubclass(annotation, Section) else None
    return next((one for part in get_args(annotation) if (one := _inner(part))), None)


def _is_list(annotation: Any) -> bool:
    return not isinstance(annotation, type)


def _section_of(section: type[Section], name: str) -> type[Section] | None:
    field = section.model_fields.get(name)
    return _inner(field.annotation) if field else None


def _all_keys(section: type[Section]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield name
        inner = _inner(field.annotation)
        if inner and not _is_list(field.annotation):
            yield from (f"{name}.{key}" for key in _all_keys(inner))


def _inline(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("...").strip()


# ---- words ---------------------------------------------------------------------------------------


def _docstring(section: type[Section] | None) -> str:
    """Of the class, or of the nearest one above it that is no general base."""
    for one in section.__mro__ if section else ():
        if one is Section:
            break
        if own := one.__dict__.get("__doc__"):
            return inspect.cleandoc(own).partition("\n\n")[0]
    return ""


@cache
def _attribute_docstrings(section: type[Section]) -> dict[str, str]:
    """Texts that stand below attributes, those of a subclass over those of its base."""
    if section is Section:
        return {}
    texts: dict[str, str] = {}
    for base in reversed(section.__bases__):
        if issubclass(base, Section):
            texts |= _attribute_docstrings(base)
    (tree,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(section))).body
    body = getattr(tree, "body", [])
    for attribute, text in pairwise(body):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(attribute, ast.AnnAssign) and is_text:
            texts[ast.unparse(attribute.target)] = str(text.value.value)
    return texts


_KEY = re.compile(r"^(?P<indent> *)(?P<name>[\w.]+):(?P<rest>.*)$")


@cache
def _comments() -> dict[str, str]:
    """What conf/base says beside a key, or on the lines straight above it."""
    found: dict[str, str] = {}
    for file in sorted(BASE.glob("parameters*.yml")):
        found |= _comments_of(file.read_text(encoding="utf-8"))
    return found


def _comments_of(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            words = line.strip().lstrip("#").strip()
            above = [] if words.startswith("---") else [*above, words]
        elif match := _KEY.match(line):
            indent = len(match["indent"])
            parents = [one for one in parents if one[0] < indent] + [(indent, match["name"])]
            beside = match["rest"].partition(" # ")[2].strip()
            found[".".join(name for _, name in parents)] = beside or " ".join(above)
            above = []
        else:
            above = []
    return found


@cache
def yaml_values(task: str = "") -> dict[str, Any]:
    """conf/base as it is written: all files, or those of one task."""
    values: dict[str, Any] = {}
    for file in sorted(BASE.glob(f"parameters_{task}*.yml" if task else "parameters*.yml")):
        for key, value in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            values[key] = {**values.get(key, {}), **value}
    return values


# ---- tables --------------------------------------------------------------------------------------


def _table(names: tuple[str, ...], rows: Any) -> str:
    head = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return "\n".join([*head, *rows])


def _place(key: str) -> str:
    """The file that sets it, and how to set it oneself."""
    top, example = key.split(".")[0], _example(key)
    file = next(
        (file.name for file in sorted(BASE.glob("parameters*.yml"))
         if top in yaml.safe_load(file.read_text(encoding="utf-8"))),
        "",
    )  # fmt: skip
    if not file:
        return f"The defaults stand in the code; your own: `--params {example}`."
    return f"Defaults: `conf/base/{file}`. Your own: `conf/local/{file}`, or `--params {example}`."


def _example(key: str) -> str:
    examples = {task: f"{task}.training.lr=3e-5" for task in TASKS}
    examples |= {"recommend": "recommend.training.lr=0.002", "tuning": "tuning.budget=6h"}
    group = next(group for group in GROUPS if group.key == key)
    name, value = next(
        (name, getattr(group.section(), name))
        for name in group.section.model_fields
        if name not in group.left_out and not isinstance(getattr(group.section(), name), Section)
    )
    return examples.get(key, f"{key}.{name}={_inline(value)}")


def _spaces(task: str) -> Iterator[str]:
    yield f"## {task}.tuning.spaces"
    file = f"`conf/base/parameters_{task}_tuning.yml`"
    if task == TASKS[0]:
        yield (
            "What is searched, and within which ranges ([how to change them](tuning.md#spaces)).\n"
            f"Defaults: {file}. Any parameter of a task can\n"
            "be searched but those of `ingest` and `split`, the seed, the epochs, and how a run "
            "is\nkept.\n\nA parameter has these fields:"
        )
        if missing := set(FIELDS) ^ SPACE_FIELDS.keys():
            raise SystemExit(f"SPACE_FIELDS and the fields of a space differ: {sorted(missing)}")
        yield _table(
            ("field", "what it says"), (f"| `{n}` | {t} |" for n, t in SPACE_FIELDS.items())
        )
    tuning = yaml_values(task)[task]["tuning"]
    yield f"The spaces as they come ({file}), `medium` before narrowing:"
    yield _space_table(tuning["spaces"])
    for name, written in tuning.get("other_spaces", {}).items():
        yield f"With `{task}.tuning.space={name}`:"
        yield _space_table(written)


def _space_table(written: Mapping[str, Any]) -> str:
    spaces = {stage: parse_space(written[stage], root=stage) for stage in ("quick", "medium")}
    keys = list(dict.fromkeys(key for space in spaces.values() for key in space.keys))
    rows = (
        f"| `{key}` | " + " | ".join(_range(space[key]) if key in space.keys else ""
        for space in spaces.values())
        + f" | {_floor(spaces['quick'][key])} | {_when(spaces['quick'][key])} |"
        for key in keys
    )  # fmt: skip
    return _table(("parameter", "quick", "medium", "floor", "only with"), rows)


def _when(parameter: Parameter) -> str:
    return ", ".join(
        f"`{key}` {_inline(list(values)).strip('[]')}" for key, values in parameter.when.items()
    )


def _range(parameter: Parameter) -> str:
    if parameter.kind == "categorical":
        return ", ".join(_inline(choice) for choice in parameter.choices)
    log = ", log" if parameter.log else ""
    return f"{parameter.low:g} .. {parameter.high:g}{log}"


def _floor(parameter: Parameter) -> str:
    return "" if parameter.floor is None else f"{parameter.floor:g}"


def _presets(task: str) -> Iterator[str]:
    yield f"## {task}.presets"
    presets = yaml_values(task)[task]["presets"]
    rows = (
        f"| `{name}` | " + ", ".join(f"`{key}` {_inline(value)}" for key, value in flatten(preset))
        + " |"
        for name, preset in presets.items()
    )  # fmt: skip
    yield _table(("preset", "what it sets"), rows)


def _auto(task: str) -> Iterator[str]:
    rules = yaml_values(task)[task].get("auto", [])
    if not rules:
        return
    yield f"## {task}.auto"
    rows = []
    for rule in rules:
        values = flatten({k: v for k, v in rule.items() if k not in ("because", "when")})
        shown = ", ".join(f"`{key}` {_inline(value)}" for key, value in values)
        when = ", ".join(
            f"`{fact}` {comparison.replace('_', ' ')} {bound}"
            for fact, bounds in rule.get("when", {}).items()
            for comparison, bound in bounds.items()
        )
        rows.append(f"| {when or 'always'} | {shown} | {rule['because']} |")
    yield _table(("when", "what it sets", "because"), rows)


def _budgets() -> Iterator[str]:
    yield "## Budgets"
    yield "What `tuning.budget` stands for, trials x epochs; an empty field: the stage is off."
    stages = ("test", "quick", "medium", "seed")

    def cells(sizes: Mapping[str, Any]) -> str:
        return " | ".join(
            f"{size.trials} x {size.epochs}" if (size := sizes.get(stage)) else ""
            for stage in stages
        )

    rows = (f"| `{name}` | {cells(sizes)} |" for name, sizes in BUDGETS.items())
    yield _table(("budget", *stages), rows)


def _samplers_and_pruners() -> Iterator[str]:
    yield "## Samplers"
    yield "What `tuning.sampler.kind` and `tuning.stages.<stage>.sampler` may be, beside `auto`."
    rows = (f"| `{name}` | {SAMPLERS[name].summary} |" for name in SAMPLERS.names())
    yield _table(("sampler", "take it for"), rows)
    yield "## Pruners"
    yield "The same for pruners, beside `auto` and `none`."
    rows = (f"| `{name}` | {PRUNERS[name].summary} |" for name in PRUNERS.names())
    yield _table(("pruner", "a trial is stopped when"), rows)


INTRODUCTION = """\
# Parameters

*Written by `make docs` from the classes that check the parameters; do not edit it by hand.*

Values are merged in this order, later over earlier: the default, the preset, `conf/base`, the
environment (`conf/local`, or `conf/<name>` with `--env <name>`), the best configuration that tuning
found, `--params`. A null in YAML means "not set here". A key that is not listed here is refused
before anything runs. How to set them: [data](data.md#parameters), [tuning](tuning.md)."""


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(REPOSITORY)}")
