"""Documents lead somewhere, and say the same in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from seqtune.pipeline_registry import register_pipelines

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
PAIRS = [("README.md", "README.ko.md"), ("docs/guide.md", "docs/guide.ko.md")]


def documents(repository: Path) -> list[Path]:
    places = (repository, repository / "docs", repository / "docs/decisions")
    found = [path for place in places for path in place.glob("*.md")]
    return sorted([*found, repository / "benchmarks/README.md"])


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """What GitHub makes of the headings of a file."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", text_of(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(path: Path) -> list[str]:
    """Lines of all code blocks, without their comments."""
    blocks = [match["text"] for match in FENCE.finditer(text_of(path))]
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def test_links_lead_somewhere(repository: Path) -> None:
    broken = []
    for document in documents(repository):
        for match in LINK.finditer(CODE.sub("", FENCE.sub("", text_of(document)))):
            file, _, anchor = match["target"].partition("#")
            target = document.parent / file if file else document
            if "://" in match["target"]:
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{document.relative_to(repository)}: {match['target']}")

    assert broken == []


@pytest.mark.parametrize(("english", "korean"), PAIRS)
def test_both_languages_give_the_same_commands(repository: Path, english: str, korean: str) -> None:
    assert commands(repository / english) == commands(repository / korean)


@pytest.mark.parametrize(("english", "korean"), PAIRS)
def test_both_languages_have_the_same_sections(repository: Path, english: str, korean: str) -> None:
    levels = [
        re.findall(r"^(#+) ", FENCE.sub("", text_of(repository / name)), re.MULTILINE)
        for name in (english, korean)
    ]

    assert levels[0] == levels[1]


@pytest.mark.parametrize("name", [name for pair in PAIRS for name in pair])
def test_pipelines_in_commands_exist(repository: Path, name: str) -> None:
    named = re.findall(r"--pipeline (\S+)", "\n".join(commands(repository / name)))

    assert set(named) <= register_pipelines().keys()


def test_guide_names_every_preset_with_its_numbers(repository: Path) -> None:
    values = yaml.safe_load(text_of(repository / "conf/base/parameters_recommend.yml"))
    for guide in PAIRS[1]:
        text = text_of(repository / guide)
        for name, preset in values["recommend"]["presets"].items():
            model = preset["model"]
            shape = "{hidden_units} / {num_heads} / {num_layers} | {max_len} |".format(**model)
            row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` "))
            assert row.endswith(shape), row


def test_decisions_are_numbered_and_say_what_is_needed(repository: Path) -> None:
    records = sorted((repository / "docs/decisions").glob("*.md"))

    for number, record in enumerate(records, start=1):
        text = text_of(record)
        assert record.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04}. ")
        for section in ("Status: ", "## Context", "## Decision", "## Alternatives"):
            assert section in text, f"{record.name} has no {section}"


def test_verbs_named_in_the_readme_exist(repository: Path) -> None:
    makefile = text_of(repository / "Makefile")
    for name in PAIRS[0]:
        for verb in re.findall(
            r"\bmake ([a-z][a-z-]*)", " ".join(CODE.findall(text_of(repository / name)))
        ):
            assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb
