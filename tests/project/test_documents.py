"""Documents lead somewhere, name only what exists, and say the same in both languages."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from seqtune.pipeline_registry import register_pipelines

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "docs"))

from write_parameters import PAGE, known_keys, page, undescribed, yaml_values  # noqa: E402

LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
GUIDE, KOREAN = REPOSITORY / "docs/guide", REPOSITORY / "docs/guide/ko"
GENERATED = "parameters.md"
ENGLISH = sorted(path for path in GUIDE.glob("*.md") if path.name != GENERATED)
PAIRS = [
    (REPOSITORY / "README.md", REPOSITORY / "README.ko.md"),
    *((path, KOREAN / path.name) for path in ENGLISH),
]
"""A document and its translation; the page of parameters is generated, in English alone."""
BOTH = [path for pair in PAIRS for path in pair]
KEY = re.compile(
    r"(?<![\w./-])(?:recommend|tuning|verify_env|validate|ensemble|compare|sample|report|tracking)"
    r"(?:\.[a-z_0-9]+|\.<stage>)+(?![\w(]|\.\w|/)"
)
"""What looks like a parameter; datasets and pipelines look alike and are told apart below."""
FILES = (".json", ".yml", ".ipynb", ".md", ".html")
LARGEST_PICTURE, WIDEST_PICTURE = 250_000, 1600


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def documents() -> list[Path]:
    places = ("", "docs", "docs/decisions", "docs/guide", "docs/guide/ko", "benchmarks")
    return sorted(path for place in places for path in (REPOSITORY / place).glob("*.md"))


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """What GitHub makes of the headings of a file."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", text_of(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(path: Path, *languages: str) -> list[str]:
    found = FENCE.finditer(text_of(path))
    return [match["text"] for match in found if not languages or match["language"] in languages]


def commands(path: Path) -> list[str]:
    """Lines of all code blocks, without their comments."""
    lines = [line.partition(" #")[0].strip() for b in blocks(path) for line in b.splitlines()]
    return [line for line in lines if line]


def all_code(path: Path) -> list[str]:
    """Code blocks line by line, and code within sentences."""
    spans = [span.strip("`") for span in CODE.findall(FENCE.sub("", text_of(path)))]
    return [*commands(path), *spans]


# ---- links and languages -------------------------------------------------------------------------


def test_links_lead_somewhere() -> None:
    broken = []
    for document in documents():
        for match in LINK.finditer(CODE.sub("", FENCE.sub("", text_of(document)))):
            file, _, anchor = match["target"].partition("#")
            target = document.parent / file if file else document
            if "://" in match["target"]:
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{name_of(document)}: {match['target']}")

    assert broken == []


def test_every_page_of_the_guide_is_in_both_languages() -> None:
    assert [path.name for path in ENGLISH] == sorted(path.name for path in KOREAN.glob("*.md"))


def test_every_page_of_the_guide_is_found_from_its_index() -> None:
    for folder in (GUIDE, KOREAN):
        linked = {match["target"] for match in LINK.finditer(text_of(folder / "index.md"))}
        pages = {path.name for path in folder.glob("*.md")} - {"index.md"}
        assert pages <= linked, folder


@pytest.mark.parametrize(("english", "korean"), PAIRS, ids=map(name_of, BOTH[::2]))
def test_both_languages_give_the_same_commands(english: Path, korean: Path) -> None:
    assert commands(english) == commands(korean)


@pytest.mark.parametrize(("english", "korean"), PAIRS, ids=map(name_of, BOTH[::2]))
def test_both_languages_have_the_same_sections_and_tables(english: Path, korean: Path) -> None:
    levels, rows = [], []
    for document in (english, korean):
        text = FENCE.sub("", text_of(document))
        levels.append(re.findall(r"^(#+) ", text, re.MULTILINE))
        rows.append([line.count(" | ") for line in text.splitlines() if line.startswith("|")])

    assert levels[0] == levels[1]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("english", "korean"), PAIRS, ids=map(name_of, BOTH[::2]))
def test_both_languages_name_the_same_parameters(english: Path, korean: Path) -> None:
    assert keys_in(english) == keys_in(korean)


# ---- what is named exists ------------------------------------------------------------------------


@cache
def graph() -> tuple[set[str], set[str], set[str]]:
    """Names of all pipelines, nodes and datasets."""
    pipelines = register_pipelines()
    nodes = {node.name for pipeline in pipelines.values() for node in pipeline.nodes}
    datasets = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    return set(pipelines), nodes, datasets


def keys_in(path: Path) -> set[str]:
    """Parameters that a document names in code."""
    lines = [line for line in all_code(path) if "is not a parameter" not in line]
    found = KEY.findall("\n".join(lines).replace("params:", ""))
    return {key for key in found if not is_of_the_graph(key) and not key.endswith(FILES)}


def is_of_the_graph(name: str) -> bool:
    """Whether it is a pipeline, a node or a dataset."""
    return any(name in names for names in graph())


@pytest.mark.parametrize("document", BOTH, ids=map(name_of, BOTH))
def test_parameters_exist(document: Path) -> None:
    known = known_keys()

    assert sorted(key for key in keys_in(document) if key not in known) == []


@pytest.mark.parametrize("document", BOTH, ids=map(name_of, BOTH))
def test_parameters_of_commands_and_settings_exist(document: Path) -> None:
    code = "\n".join(all_code(document))
    given = ",".join(re.findall(r"--params ([\w.=,@/-]+)", code)).split(",")
    keys = {pair.partition("=")[0] for pair in given if "=" in pair}

    assert keys <= known_keys()


@pytest.mark.parametrize("document", BOTH, ids=map(name_of, BOTH))
def test_pipelines_and_nodes_of_commands_exist(document: Path) -> None:
    code = "\n".join(all_code(document))
    named = re.findall(r"--pipelines? ([\w.,]+)", code)
    pipelines, nodes, datasets = graph()

    assert {name for names in named for name in names.split(",")} <= pipelines
    assert set(re.findall(r"--(?:from|to)-nodes ([\w.]+)", code)) <= nodes
    versions = re.findall(r"--load-versions ([\w.]+):", code)
    assert set(versions) <= datasets


@pytest.mark.parametrize("document", BOTH, ids=map(name_of, BOTH))
def test_verbs_exist(document: Path) -> None:
    makefile = text_of(REPOSITORY / "Makefile")
    verbs = re.findall(r"^make ([a-z][a-z-]*)", "\n".join(all_code(document)), re.MULTILINE)

    assert [v for v in verbs if not re.search(rf"^{v}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("document", BOTH, ids=map(name_of, BOTH))
def test_settings_in_yaml_are_read_by_somebody(document: Path) -> None:
    """Every group and key of an example exists; below `spaces` it is a parameter of the task."""
    unknown = []
    for block in blocks(document, "yaml"):
        values = yaml.safe_load(block.replace("<", "").replace(">", ""))
        tops = set(values) & set(yaml_values())
        unknown += [
            key for top in tops for key in dotted(values[top], top) if not may_be_given(key)
        ]

    assert unknown == []


def dotted(node: object, prefix: str) -> list[str]:
    if not isinstance(node, dict) or (".spaces." in prefix and "type" in node):
        return [prefix]
    return [key for name, below in node.items() for key in dotted(below, f"{prefix}.{name}")]


def may_be_given(key: str) -> bool:
    searched = re.sub(r"^recommend\.tuning\.spaces\.(quick|medium)", "recommend", key)
    return searched in known_keys() or searched.rpartition(".")[0] == "recommend.ingest.sides"


@pytest.mark.parametrize("document", BOTH, ids=map(name_of, BOTH))
def test_files_of_conf_that_are_named_exist(document: Path) -> None:
    named = re.findall(r"\bconf/(?:base|sample)/[\w.]+\.yml", "\n".join(all_code(document)))

    assert [name for name in named if not (REPOSITORY / name).is_file()] == []


# ---- messages ------------------------------------------------------------------------------------


@cache
def texts_of_the_code() -> str:
    """All texts in src, with nothing in the place of what is filled in."""
    texts = []
    for file in (REPOSITORY / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(text_of(file))):
            if isinstance(node, ast.JoinedStr):
                parts = [v.value if isinstance(v, ast.Constant) else "" for v in node.values]
                texts.append("\0".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


@pytest.mark.parametrize("folder", [GUIDE, KOREAN], ids=name_of)
def test_messages_that_are_explained_are_those_of_the_code(folder: Path) -> None:
    """`...` stands for what is filled in; between is what the user sees."""
    lines = [line for b in blocks(folder / "troubleshooting.md", "text") for line in b.splitlines()]
    data = text_of(folder / "data.md").splitlines()
    start = next(i for i in reversed(range(len(data))) if data[i].startswith("## "))
    lines += [match[1] for line in data[start:] if (match := re.match(r"\| `([^`]*)`", line))]
    parts = [part.strip() for line in lines for part in line.split("...")]

    assert len(lines) > 30
    assert [part for part in parts if part not in texts_of_the_code()] == []


def test_every_section_of_the_report_is_explained_by_its_title() -> None:
    titles = yaml.safe_load(text_of(REPOSITORY / "src/seqtune/reporting/page/texts.yml"))
    for language, folder in (("en", GUIDE), ("ko", KOREAN)):
        rows = [row for row in text_of(folder / "report.md").splitlines() if row.startswith("| ")]
        firsts = {title for row in rows for title in row[2:].partition(" | ")[0].split(", ")}
        wanted = {title[language] for key, title in titles.items() if key.startswith("section.")}
        assert wanted <= firsts, wanted - firsts


# ---- the page of parameters ----------------------------------------------------------------------


def test_the_page_of_parameters_is_what_the_classes_say() -> None:
    assert text_of(PAGE) == page(), "run `make docs`"


def test_every_parameter_is_described() -> None:
    assert undescribed() == []


def test_no_group_of_conf_is_left_out_of_the_page() -> None:
    assert set(yaml_values()) <= known_keys()


@pytest.mark.parametrize("guide", [GUIDE, KOREAN], ids=name_of)
def test_guide_names_every_preset_with_its_numbers(guide: Path) -> None:
    lines = text_of(guide / "data.md").splitlines()
    for name, preset in yaml_values()["recommend"]["presets"].items():
        shape = "{hidden_units} / {num_heads} / {num_layers} | {max_len} |".format(
            **preset["model"]
        )
        row = next(line for line in lines if line.startswith(f"| `{name}` "))
        assert row.endswith(shape), row


# ---- pictures and decisions ----------------------------------------------------------------------


def test_pictures_are_small_and_shown() -> None:
    pictures = sorted((REPOSITORY / "docs/pictures").glob("*"))
    shown = "\n".join(text_of(path) for path in documents())
    for picture in pictures:
        assert picture.stat().st_size <= LARGEST_PICTURE, picture
        assert picture.name in shown, picture
        head = picture.read_bytes()[:24]
        assert head.startswith(b"\x89PNG\r\n")
        assert int.from_bytes(head[16:20], "big") <= WIDEST_PICTURE, picture


def test_architecture_names_every_room_and_stage() -> None:
    text = text_of(REPOSITORY / "docs/ARCHITECTURE.md")
    package = REPOSITORY / "src/seqtune"
    found = [path for folder in (package, package / "pipelines") for path in folder.iterdir()]
    rooms = [path for path in found if path.suffix == ".py" or (path / "__init__.py").is_file()]
    names = {path.stem for path in rooms if path.stem == "__main__" or path.stem[0] != "_"}

    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)] == []


def test_decisions_are_numbered_and_say_what_is_needed(repository: Path) -> None:
    records = sorted((repository / "docs/decisions").glob("*.md"))

    for number, record in enumerate(records, start=1):
        text = text_of(record)
        assert record.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04}. ")
        for section in ("Status: ", "## Context", "## Decision", "## Alternatives"):
            assert section in text, f"{record.name} has no {section}"
