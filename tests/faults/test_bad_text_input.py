"""Bad texts, dialogues and models through `kedro run`: one clear error, nothing half written.

All runs share one program that has everything imported (kedro_forks), so that each takes a second.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kedro_results import newest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))


from text_projects import RAW, add_models, prepare, read_json, write_jsonl

Run = Callable[..., "subprocess.CompletedProcess[str]"]

FILES = {"classify": "texts.tsv", "summarize": "dialogues.jsonl"}


@dataclass(frozen=True)
class BadInput:
    """A file, and what the error must say of it."""

    task: str
    content: str | bytes
    says: tuple[str, ...]
    parameters: str = ""
    stages: str = "ingest"


def texts(*rows: str) -> str:
    """A TSV file with some good rows before these; the first of these is in line 5."""
    good = ["the parcel is late\t1\t0", "what a rude clerk\t0\t1", "all is well\t0\t0"]
    return "\n".join(["text\tlate\trude", *good, *rows, ""])


def dialogue_row(number: int, **changed: Any) -> dict[str, Any]:
    dialogue = f"#Person1#: Where is number {number}?\n#Person2#: It is here."
    row = {"fname": f"d{number}", "dialogue": dialogue, "summary": f"Number {number} is here."}
    return row | changed


def dialogue_lines(*rows: dict[str, Any] | str) -> str:
    """A JSONL file with three good rows before these; the first of these is in line 4."""
    lines = [json.dumps(row) for row in map(dialogue_row, range(3))]
    lines += [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return "\n".join([*lines, ""])


RARE = [f"number {n} is late\t1\t0" for n in range(20)] + ["so rude\t0\t1", "how rude\t0\t1"]
BAD_FILES = {
    "no label column": BadInput(
        "classify", "text\nso late\nso rude\n", ("texts.tsv has no label column", "0 and 1")
    ),
    "missing label column": BadInput(
        "classify",
        texts(),
        ("texts.tsv has no column 'angry'", "choose one of late, rude, text", "columns.labels"),
        "classify.ingest.columns.labels=[angry]",
    ),
    "missing text column": BadInput(
        "classify",
        texts().replace("text\t", "document\t", 1),
        ("texts.tsv has no column 'text'", "classify.ingest.columns.text"),
    ),
    "label that is neither": BadInput(
        "classify",
        texts("so late\t2\t0"),
        ("labels must be 0 or 1", "texts.tsv, line 5: column 'late' holds '2'", "columns.ignore"),
    ),
    "class without positives": BadInput(
        "classify",
        texts(*RARE).replace("clerk\t0\t1", "clerk\t0\t0"),
        ("label 'rude' has 0 positives", "at least 1", "min_positives", "columns.ignore"),
        "classify.split.augmentation=none",
        "ingest,split",
    ),
    "empty text": BadInput(
        "classify",
        texts("\t1\t0", "?!\t0\t0"),
        ("texts without a letter or digit", "line 5", "line 6", "classify.ingest.on_empty=drop"),
    ),
    "texts that are not UTF-8": BadInput(
        "classify",
        texts("배송이 늦었어요\t1\t0").encode("cp949"),
        ("texts.tsv, line 5", "is not utf-8", "ingest.encoding", "cp949"),
    ),
    "ragged row": BadInput(
        "classify", texts("so\tlate\t1\t0"), ("texts.tsv, line 5: 4 fields", "names 3", "tab")
    ),
    "broken line of JSON": BadInput(
        "summarize",
        dialogue_lines(dialogue_row(3), '{"fname": "d4", "dialogue": "cut off'),
        ("dialogues.jsonl, line 5", "invalid JSON", "one object on each line"),
    ),
    "dialogues that are not UTF-8": BadInput(
        "summarize",
        (
            dialogue_lines() + json.dumps(dialogue_row(3, summary="늦었다"), ensure_ascii=False)
        ).encode("cp949"),
        ("dialogues.jsonl, line 4", "is not utf-8", "ingest.encoding"),
    ),
    "no summaries": BadInput(
        "summarize",
        dialogue_lines().replace('"summary"', '"notes"'),
        ("dialogues.jsonl has no column 'summary'", "summarize.ingest.columns.summary"),
    ),
    "a summary missing": BadInput(
        "summarize",
        dialogue_lines(dialogue_row(3, summary=" ")),
        ("rows without a summary", "dialogues.jsonl, line 4", "summarize.ingest.on_empty=drop"),
    ),
    "a dialogue missing": BadInput(
        "summarize",
        dialogue_lines(dialogue_row(3, dialogue="")),
        ("rows without a dialogue", "dialogues.jsonl, line 4", "summarize.ingest.on_empty=drop"),
    ),
    "a summary of null": BadInput(
        "summarize",
        dialogue_lines(dialogue_row(3, summary=None)),
        ("column 'summary' must hold texts", "line 4 holds null"),
    ),
    "an id twice": BadInput(
        "summarize",
        dialogue_lines(dialogue_row(3, fname="d1")),
        ("ids must be unique", "'d1'", "line 2", "line 4", "columns.id"),
    ),
}
QUICK = (
    "missing label column",
    "label that is neither",
    "class without positives",
    "broken line of JSON",
    "a summary missing",
)
"""The messages of all are tested where they are made; these go through `kedro run` every time."""


@pytest.fixture(scope="module")
def run(kedro_with: Callable[..., Any]) -> Run:
    """`run(folder, "--pipelines", "ingest")`: `kedro run` there."""
    return lambda folder, *arguments: kedro_with(folder)("run", *arguments)


def assert_refused(result: subprocess.CompletedProcess[str], *says: str) -> None:
    output = result.stdout + result.stderr
    assert result.returncode == 1, output
    assert "Traceback" not in output
    assert output.count("Error: ") == 1
    message = " ".join(output.partition("Error: ")[2].split())
    for words in says:
        assert words in message


def made(project: Path, under: str = "") -> set[str]:
    """Everything that runs have left, but caches of tokens and what is theirs while they last."""
    files = (path for path in (project / "data" / under).rglob("*") if path.is_file())
    return {str(path) for path in files if not {"01_raw", "00_scratch", "made"} & set(path.parts)}


def assert_scratch_is_empty(project: Path) -> None:
    """But for what a failed proof leaves on purpose, to be read."""
    left = {path.name for path in (project / "data/00_scratch").glob("[!.]*")}
    assert left <= {"verify_env"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in BAD_FILES],
)
def test_a_bad_file_is_refused(run: Run, shared_project: Path, name: str) -> None:
    bad = BAD_FILES[name]
    raw = shared_project / RAW / bad.task
    shutil.rmtree(shared_project / "data", ignore_errors=True)
    raw.mkdir(parents=True)
    content = bad.content if isinstance(bad.content, bytes) else bad.content.encode()
    (raw / FILES[bad.task]).write_bytes(content)
    stages = [f"{bad.task}.{stage}" for stage in bad.stages.split(",")]
    parameters = ["--params", bad.parameters] if bad.parameters else []
    result = run(shared_project, "--pipelines", ",".join(stages), *parameters)
    assert_refused(result, *bad.says)
    assert made(shared_project, "05_model_input" if len(stages) > 1 else "") == set()
    assert_scratch_is_empty(shared_project)


# ---- models and parameters -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def split(run: Run, tmp_path_factory: pytest.TempPathFactory, shared_project: Path) -> Path:
    """A project whose texts and dialogues are split; it has no models."""
    project = tmp_path_factory.mktemp("split") / "project"
    shutil.copytree(shared_project, project, ignore=shutil.ignore_patterns("data"))
    prepare(project, *FILES)
    stages = [f"{task}.{stage}" for task in FILES for stage in ("ingest", "split")]
    result = run(project, "--pipelines", ",".join(stages))
    assert result.returncode == 0, result.stdout + result.stderr
    return project


@pytest.fixture(scope="module")
def modelled(split: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with models."""
    project = tmp_path_factory.mktemp("modelled") / "project"
    shutil.copytree(split, project)
    add_models(project, *FILES)
    return project


def model(project: Path, name: str) -> Path:
    task = "summarize" if name == "kobart" else "classify"
    return project / RAW / task / "models" / name


def copied(project: Path, name: str, to: str) -> Path:
    """Another folder with this model."""
    folder = model(project, name).with_name(to)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(model(project, name), folder)
    return folder


def refuse_training(run: Run, project: Path, task: str, params: str, *says: str) -> None:
    before = made(project)
    assert_refused(run(project, "--pipelines", f"{task}.train", "--params", params), *says)
    assert made(project) == before
    assert_scratch_is_empty(project)


@pytest.mark.parametrize("task", ["classify", pytest.param("summarize", marks=pytest.mark.slow)])
def test_a_missing_model_is_named_with_where_it_was_looked_for(
    run: Run, split: Path, task: str
) -> None:
    refuse_training(
        run,
        split,
        task,
        f"{task}.model.name=nobody/none",
        f"{task}.model.name='nobody/none': there is no such model",
        str(split / "nobody/none"),
        "on the Hugging Face hub and its local cache",
        "Give the path of a folder that save_pretrained wrote",
    )


@pytest.mark.slow
def test_a_tokenizer_of_another_model_is_refused(run: Run, modelled: Path) -> None:
    for task, own in (("classify", "electra"), ("summarize", "kobart")):
        mixed = copied(modelled, own, "mixed")
        tokenizer = json.loads((mixed / "tokenizer.json").read_text(encoding="utf-8"))
        more = tokenizer["model"]["vocab"]
        more |= {f"word{number}": len(more) + number for number in range(50)}
        (mixed / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
        name = f"data/01_raw/{task}/models/mixed"
        says = ("the tokenizer of", name, "do not belong together", "saved together")
        refuse_training(run, modelled, task, f"{task}.model.name={name}", *says)


@pytest.mark.slow
def test_pickled_weights_are_refused_unless_they_are_allowed(run: Run, modelled: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = copied(modelled, "electra", "pickled")
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    named = "classify.model.name=data/01_raw/classify/models/pickled"
    refuse_training(
        run,
        modelled,
        "classify",
        named,
        "pickled (pytorch_model.bin)",
        "any code",
        "classify.model.allow_pickle=true",
    )
    allowed = run(
        modelled,
        *("--pipelines", "classify.dry_run"),
        *("--params", f"{named},classify.model.allow_pickle=true,classify.dry_run=true"),
    )
    assert allowed.returncode == 0, allowed.stderr


@pytest.mark.slow
def test_quantisation_without_its_library_names_it(run: Run, modelled: Path) -> None:
    absent = modelled / "src" / "bitsandbytes.py"  # found before the one that is installed
    absent.write_text("raise ImportError('not installed')\n")
    try:
        refuse_training(
            run,
            modelled,
            "summarize",
            "summarize.model.lora.enabled=true,summarize.model.quantisation=4bit",
            "summarize.model.quantisation=4bit needs bitsandbytes",
            "not installed",
            "pip install bitsandbytes",
            "summarize.model.quantisation=none",
        )
    finally:
        absent.unlink()


@pytest.mark.parametrize(
    ("task", "parameter", "says"),
    [
        ("summarize", "summarize.preset=llama", ("summarize.preset='llama'", "llama_qlora")),
        pytest.param(
            "classify",
            "classify.preset=kcelectro",
            ("classify.preset='kcelectro'", "kcelectra"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "classify",
            "classify.modell.name=x",
            ("modell", "did you mean 'model'"),
            marks=pytest.mark.slow,
        ),
        (
            "summarize",
            "summarize.model.quantisation=4bit",
            ("quantisation=4bit", "lora.enabled=true", "quantisation=none"),
        ),
    ],
)
def test_a_bad_parameter_is_refused(
    run: Run, split: Path, task: str, parameter: str, says: tuple[str, ...]
) -> None:
    refuse_training(run, split, task, parameter, *says)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "parameter", "says"),
    [
        (
            "classify",
            "classify.model.max_length=600",
            ("classify.model.max_length=600", "positions for 512", "at most 512"),
        ),
        (
            "classify",
            "classify.model.name=data/01_raw/summarize/models/kobart",
            ("classify.model.name=", "'bart'", "not a bidirectional encoder"),
        ),
        (
            "summarize",
            "summarize.preprocess.max_input_length=24",
            ("do not fit", "max_input_length=24", "max_truncated_share", "would do"),
        ),
    ],
)
def test_what_does_not_fit_the_model_is_refused(
    run: Run, modelled: Path, task: str, parameter: str, says: tuple[str, ...]
) -> None:
    refuse_training(run, modelled, task, parameter, *says)


def test_a_dry_run_is_asked_for_on_the_command_line(run: Run, split: Path) -> None:
    file = split / "conf/local/parameters_dry.yml"
    file.write_text("classify: {dry_run: true}\n")
    before = made(split)
    try:
        result = run(split, "--pipelines", "classify")
    finally:
        file.unlink()
    assert_refused(result, "classify.dry_run", "--params", "conf/local/parameters_dry.yml")
    assert made(split) == before


# ---- strange, but fine ---------------------------------------------------------------------------

LONG = 100_000
MARKED = "<s> [SEP] </s> <|end|> <usr> #Person1# [CLS] late"


@pytest.mark.slow
def test_strange_texts_are_trained_on(run: Run, modelled: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(modelled, project)
    file = project / RAW / "classify" / "texts.tsv"
    header, *rows = file.read_text(encoding="utf-8").splitlines()
    odd = [f"{text}\t1\t0\t0\t0\t0" for text in ("a", "나", "7", "late " * (LONG // 5), MARKED)]
    file.write_text("\n".join([header, *rows, *odd, ""]), encoding="utf-8")
    stages = ",".join(f"classify.{stage}" for stage in ("ingest", "split", "train", "predict"))
    result = run(project, "--pipelines", stages, "--params", "classify.training.epochs=1")
    assert result.returncode == 0, result.stdout + result.stderr
    report = read_json(newest(project, "08_reporting/classify/ingest_report.json"))
    warnings = " ".join(report["warnings"])
    assert "1 texts were longer than max_characters and were cut" in warnings
    assert "control tokens of a model" in warnings
    assert report["special_tokens"]["[SEP]"] == 1
    assert report["characters"]["max"] <= 20_000


@pytest.mark.slow
def test_strange_dialogues_are_trained_on(run: Run, modelled: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(modelled, project)
    file = project / RAW / "summarize" / "dialogues.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    odd = ("a", "#Person1#: late\n" * (LONG // 16), f"#Person1#: {MARKED}\n#Person2#: Oh.")
    rows += [dialogue_row(1000 + number, dialogue=text) for number, text in enumerate(odd)]
    write_jsonl(file, rows)
    stages = ",".join(f"summarize.{stage}" for stage in ("ingest", "split", "train", "predict"))
    result = run(project, "--pipelines", stages, "--params", "summarize.training.epochs=1")
    assert result.returncode == 0, result.stdout + result.stderr
    report = read_json(newest(project, "08_reporting/summarize/ingest_report.json"))
    warnings = " ".join(report["warnings"])
    assert "1 dialogues were longer than max_characters and were cut" in warnings
    assert report["special_tokens"]["</s>"] == 1
    assert report["characters"]["dialogue"]["max"] <= 50_000
