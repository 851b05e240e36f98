"""The split of texts: what is held out, what leaks, what is made up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.tasks.classify import TASK
from seqtune.tasks.classify.params import ClassifyConfig
from seqtune.text.rows import plain
from text_stages import SplitStage

Row = tuple[str, int, int]


def rows_of(num: int, *, rare_every: int = 10) -> list[Row]:
    """Texts of several words; label a is rare, label b is common."""
    return [
        (f"text number {n} has a few words", int(n % rare_every == 0), n % 2) for n in range(num)
    ]


class LabelSplit(SplitStage):
    task, config = TASK, ClassifyConfig

    def ingested(self, rows: Sequence[Row], test: Sequence[Row] = (), **settings: Any) -> Path:
        raw = self.new("raw")
        files = [_write(raw / "texts.tsv", rows), *([_write(raw / "test.tsv", test)] * bool(test))]
        sources = {"texts": (files[0],), "test_texts": tuple(files[1:])}
        return self.ingest_sources(sources, **settings)


def _write(path: Path, rows: Sequence[Row]) -> Path:
    lines = ["text\ta\tb", *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def stage(tmp_path: Path) -> LabelSplit:
    return LabelSplit(tmp_path)


def test_parts_are_stratified_and_hold_everything_once(stage: LabelSplit) -> None:
    data, report = stage.split(stage.ingested(rows_of(200)), augmentation="none")
    assert data.manifest.rows == {"train": 160, "valid": 20, "test": 20} == report["rows"]
    parts = [data.texts(part) for part in ("train", "valid", "test")]
    assert Counter(text for part in parts for text in part) == Counter(r[0] for r in rows_of(200))
    for part, positives in {"train": 16, "valid": 2, "test": 2}.items():
        assert data.targets(part)[:, 0].sum() == positives
    assert report["labels"]["a"] == {"train": 16, "valid": 2, "test": 2}
    assert report["largest_difference"] < 0.02
    assert (
        report["headline"][0]
        == "split: train 160, valid 20, test 20 texts; 0 augmented for rare labels"
    )


def test_what_the_manifest_says_of_the_fit_part(stage: LabelSplit) -> None:
    data, _ = stage.split(stage.ingested(rows_of(200)))
    facts = data.manifest.facts
    own = data.targets("train")[~data.is_augmented].astype(int)
    assert data.labels == ("a", "b")
    assert data.num_fit_rows == len(own) == 160
    assert data.positives.tolist() == own.sum(axis=0).tolist()
    assert facts["co_occurrence"] == (own.T @ own).tolist()
    assert set(data.made_with) == {"ingest", "split"}


def test_rows_name_the_ingested_texts(stage: LabelSplit) -> None:
    data, _ = stage.split(stage.ingested(rows_of(100)))
    table = data.table("valid").to_pydict()
    assert table["row"] == sorted(table["row"])
    assert [f"text number {row} has a few words" for row in table["row"]] == table["text"]
    assert table["id"] == [str(row) for row in table["row"]]
    assert table["row"] == sorted(table["row"])


def test_rare_rows_get_copies_in_train_alone(stage: LabelSplit) -> None:
    texts = stage.ingested(rows_of(200))
    data, report = stage.split(texts, augment_factor=3, minority_share=0.2)
    plainly, _ = stage.split(texts, augmentation="none")
    made = data.table("train").filter(data.table("train")["augmented"])
    assert report["augmented_rows"] == made.num_rows == 2 * 16
    assert not any(data.table("valid")["augmented"].to_pylist())
    for part in ("valid", "test"):
        assert data.texts(part) == plainly.texts(part)
    own = dict(zip(plainly.table("train")["row"].to_pylist(), plainly.texts("train"), strict=True))
    for row in made.to_pylist():
        assert row["labels"][0] == 1
        assert row["text"] != own[row["row"]]
        assert plain(row["text"]) == plain(own[row["row"]])
    ids = data.table("train")["id"].to_pylist()
    assert len(set(ids)) == len(ids)


def test_a_row_with_two_rare_labels_is_augmented_once(stage: LabelSplit) -> None:
    rows = [(f"text {n} is this", int(n < 9), int(n < 9)) for n in range(100)]
    data, report = stage.split(stage.ingested(rows), augment_factor=2, minority_share=0.2)
    assert report["augmented_rows"] == data.positives[0] == data.positives[1]


def test_the_same_seed_gives_the_same_bytes(stage: LabelSplit) -> None:
    texts = stage.ingested(rows_of(200))
    hashes = [stage.split(texts, seed=seed)[0].content_hash for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_everything_but_test_can_be_trained_on(stage: LabelSplit) -> None:
    data, report = stage.split(stage.ingested(rows_of(100)), use_full_data=True)
    assert data.num_fit_rows == 90
    assert not data.has_validation
    assert data.num_rows("test") == 10
    assert report["labels"]["a"]["train"] == 9


# ---- an official test and leakage ------------------------------------------------------------

TEST: list[Row] = [
    ("Held out, one!", 1, 0),
    ("held out two", 0, 1),
    ("text NUMBER 4 has a few words.", 1, 0),
]


def test_a_test_file_is_test_as_a_whole(stage: LabelSplit) -> None:
    data, report = stage.split(stage.ingested(rows_of(101), TEST), leakage="keep")
    assert data.texts("test") == [row[0] for row in TEST]
    assert report["rows"]["valid"] == 10
    assert report["strategy"] == "official_test"
    assert any("test_share=0.1 is not used" in line for line in report["headline"])
    _, quiet = stage.split(stage.ingested(rows_of(101), TEST), leakage="keep", test_share=0.0)
    assert not any("not used" in line for line in quiet["headline"])


def test_an_official_test_is_the_same_whatever_is_trained_on(stage: LabelSplit) -> None:
    few, many = (stage.split(stage.ingested(rows_of(num), TEST))[0] for num in (100, 150))
    assert few.test_hash == many.test_hash
    assert few.content_hash != many.content_hash


def test_texts_of_the_test_are_not_trained_on(stage: LabelSplit) -> None:
    texts = stage.ingested(rows_of(100), TEST)
    leaked = "text number 4 has a few words"
    data, report = stage.split(texts, augmentation="none")
    assert report["leaked"] == 1
    assert leaked not in data.texts("train") + data.texts("valid")
    assert any("left out of train and valid" in line for line in report["headline"])
    kept, report = stage.split(texts, augmentation="none", leakage="keep")
    assert leaked in kept.texts("train") + kept.texts("valid")
    assert report["leaked"] == 1
    message = stage.fault(texts, leakage="error")
    assert "1 of 100 texts to train on are in the test file too" in message
    assert "(ids '4')" in message


def test_what_is_equal_shares_a_part(stage: LabelSplit) -> None:
    rows = [
        (text, int(n % 5 == 0), n % 2) for n in range(100) for text in (f"Wie, {n}?", f"wie {n}")
    ]
    texts = stage.ingested(rows, on_duplicates="keep", on_conflict="keep")
    settings = {"on_duplicates": "keep", "on_conflict": "keep"}
    data, _ = stage.split(texts, ingest=settings, augmentation="none")
    found = [{plain(text) for text in data.texts(part)} for part in ("train", "valid", "test")]
    assert not found[0] & found[1]
    assert not found[0] & found[2]
    assert not found[1] & found[2]
    assert data.manifest.rows == {"train": 160, "valid": 20, "test": 20}


# ---- bad input -------------------------------------------------------------------------------


def test_a_label_without_positives_in_some_part(stage: LabelSplit) -> None:
    rows = [(f"text {n}", int(n in (3, 7)), n % 2) for n in range(100)]
    message = stage.fault(stage.ingested(rows))
    assert "label 'a' has 0 positives in" in message
    assert "at least 1 are needed" in message
    assert "classify.ingest.columns.ignore" in message
    assert "label 'b'" not in message
    assert "label 'a' has 2 positives in test" not in message


def test_so_many_positives_as_are_asked_for(stage: LabelSplit) -> None:
    texts = stage.ingested(rows_of(200))
    data, _ = stage.split(texts, min_positives=5, augmentation="none")
    assert data.targets("valid")[:, 0].sum() == 5
    assert "label 'a' has" in stage.fault(texts, min_positives=15)


def test_an_official_test_without_a_label(stage: LabelSplit) -> None:
    message = stage.fault(stage.ingested(rows_of(100), [("only b", 0, 1)]))
    assert "label 'a' has 0 positives in test" in message


def test_too_few_texts(stage: LabelSplit) -> None:
    texts = stage.ingested([("one", 1, 1), ("two", 1, 1)])
    assert "2 texts are too few: 1 for valid and 1 for test" in stage.fault(texts)


def test_all_texts_are_equal(stage: LabelSplit) -> None:
    keep = {"on_duplicates": "keep"}
    texts = stage.ingested([("same", 1, 1)] * 20, **keep)
    assert "must share a part" in stage.fault(texts, ingest=keep)


def test_settings_that_come_too_late(stage: LabelSplit) -> None:
    texts = stage.ingested(rows_of(100))
    with pytest.raises(ConfigurationError, match=r"classify\.ingest\.max_characters=9 has no eff"):
        stage.split(texts, ingest={"max_characters": 9})


def test_damaged_or_foreign_texts(stage: LabelSplit) -> None:
    texts = stage.ingested(rows_of(100))
    (texts / "texts.parquet").write_bytes(b"not Parquet")
    with pytest.raises(ArtifactError, match=r"is damaged: texts\.parquet has"):
        stage.split(texts)
    texts = stage.ingested(rows_of(101))
    text = (texts / "manifest.json").read_text().replace('"classify"', '"summarize"')
    (texts / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match="was ingested by summarize, not by classify"):
        stage.split(texts)


def test_shares_of_train_are_of_the_original_rows(stage: LabelSplit) -> None:
    """What pos_weight is made of must not know of copies."""
    data, _ = stage.split(stage.ingested(rows_of(200)), augment_factor=10, minority_share=0.2)
    share = data.positives[0] / data.num_fit_rows
    assert share == pytest.approx(0.1)
    assert np.mean(data.targets("train")[:, 0]) > 3 * share
