"""Sample texts and dialogues: the same bytes every time, and with something to be learnt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seqtune.core.checkpoint import file_hash
from seqtune.core.sample import SampleParameters
from seqtune.pipelines.sample.nodes import SampleNodes
from seqtune.tasks import classify, summarize
from seqtune.text.pretrained import (
    identity,
    load_config,
    load_model,
    load_tokenizer,
    locate,
    require_match,
)
from seqtune.text.tables import read_rows

ENABLED = SampleParameters(enabled=True)
LABELS = ("delivery", "quality", "price", "staff", "refund")
HASHES = {
    "texts": "e6199f4a62d6e367",
    "dialogues": "530878899a2097d4",
}
Files = tuple[Path, ...]


@pytest.fixture(scope="module")
def classify_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return SampleNodes(classify.TASK).write(ENABLED, tmp_path_factory.mktemp("classify"))


@pytest.fixture(scope="module")
def summarize_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return SampleNodes(summarize.TASK).write(ENABLED, tmp_path_factory.mktemp("summarize"))


@pytest.fixture(scope="module")
def texts(classify_files: Files) -> list[str]:
    return [row.values["text"] for row in read_rows(classify_files[:1])]


@pytest.fixture(scope="module")
def targets(classify_files: Files) -> np.ndarray:
    rows = read_rows(classify_files[:1])
    return np.array([[int(row.values[label]) for label in LABELS] for row in rows])


@pytest.fixture(scope="module")
def dialogues(summarize_files: Files) -> list[dict[str, str]]:
    return [dict(row.values) for row in read_rows(summarize_files[:1])]


def test_rows_and_weights_are_byte_for_byte_those_of_published_results(
    classify_files: Files, summarize_files: Files, tmp_path: Path
) -> None:
    files = {path.stem: path for path in (*classify_files, *summarize_files)}
    again = {path.stem: path for path in SampleNodes(classify.TASK).write(ENABLED, tmp_path)}

    assert {name: file_hash(files[name])[:16] for name in HASHES} == HASHES
    assert all(
        file_hash(again[name] / "model.safetensors") == file_hash(files[name] / "model.safetensors")
        for name in ("electra", "bert", "roberta")
    )


def test_texts_have_labels_of_different_rarity_that_go_together(
    texts: list[str], targets: np.ndarray
) -> None:
    shares = targets.mean(axis=0)

    assert len(texts) == 1500
    assert sorted(shares, reverse=True) == shares.tolist()
    assert shares[0] > 0.25
    assert 0.05 < shares[-1] < 0.12
    assert 0.1 < (targets.sum(axis=1) > 1).mean() < 0.3
    assert 0.1 < (targets.sum(axis=1) == 0).mean() < 0.4
    refund, quality = targets[:, LABELS.index("refund")], targets[:, LABELS.index("quality")]
    assert quality[refund == 1].mean() > 1.2 * quality.mean()


def test_a_few_texts_come_twice_with_the_same_labels(texts: list[str], targets: np.ndarray) -> None:
    rows = {(text, *labels) for text, labels in zip(texts, targets.tolist(), strict=True)}

    assert len(set(texts)) == len(rows) == 1485


def test_texts_are_in_two_languages_and_hold_quotes(texts: list[str]) -> None:
    korean = [text for text in texts if any("가" <= letter <= "힣" for letter in text)]

    assert 0.15 < len(korean) / len(texts) < 0.4
    assert any('"wow"' in text for text in texts)


def test_counting_words_gets_far_but_not_all_the_way(texts: list[str], targets: np.ndarray) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    vectors = TfidfVectorizer(ngram_range=(1, 2)).fit(texts[:1200]).transform(texts)
    scores = []
    for label in range(len(LABELS)):
        model = LogisticRegression(C=10, class_weight="balanced", max_iter=300)
        found = model.fit(vectors[:1200], targets[:1200, label]).predict(vectors[1200:])
        scores.append(f1_score(targets[1200:, label], found))

    assert 0.65 < np.mean(scores) < 0.88
    assert min(scores) > 0.45


def test_dialogues_have_five_to_eight_turns_of_two_persons(
    dialogues: list[dict[str, str]],
) -> None:
    assert len({row["dialogue"] for row in dialogues}) == 600
    assert len({row["fname"] for row in dialogues}) == 600
    for row in dialogues:
        lines = row["dialogue"].split("\n")
        assert 5 <= len(lines) <= 8
        assert {line.split(":")[0] for line in lines} == {"#Person1#", "#Person2#"}
        assert "{" not in row["dialogue"] + row["summary"]


def test_what_is_settled_stands_in_the_summary_and_what_was_turned_down_does_not(
    dialogues: list[dict[str, str]],
) -> None:
    refused = [row for row in dialogues if "I cannot come" in row["dialogue"]]

    assert len(refused) > 100
    for row in refused:
        no_time, time = row["dialogue"].split("I cannot come ")[1].split(". I am free ")
        assert time.split("\n")[0].rstrip(".") in row["summary"]
        assert no_time not in row["summary"]


def test_the_first_three_turns_say_less_than_half(dialogues: list[dict[str, str]]) -> None:
    shares = []
    for row in dialogues:
        lead = Counter(" ".join(row["dialogue"].split("\n")[:3]).split())
        summary = Counter(row["summary"].split())
        shares.append(sum((lead & summary).values()) / sum(summary.values()))

    assert 0.1 < np.mean(shares) < 0.5


def test_models_are_opened_as_any_model_is(classify_files: Files, summarize_files: Files) -> None:
    folders = [*classify_files[1:], *summarize_files[1:]]
    assert [folder.name for folder in folders] == ["electra", "bert", "roberta", "kobart", "llama"]
    for folder in folders:
        found = locate(str(folder), revision=identity(folder))
        require_match(load_tokenizer(found), load_config(found), name=folder.name)
        assert load_model("AutoModel", found).num_parameters() < 500_000


def test_models_know_the_words_of_the_texts(classify_files: Files, texts: list[str]) -> None:
    for folder in classify_files[1:3]:
        tokenizer = load_tokenizer(folder)
        ids = [i for row in tokenizer(texts)["input_ids"] for i in row]
        assert ids.count(tokenizer.unk_token_id) == 0
        assert len(ids) / len(texts) < 25
