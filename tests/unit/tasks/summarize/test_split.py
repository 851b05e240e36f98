"""The split of dialogues: official parts, what is held out at random, what leaks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtune.core.errors import ArtifactError, ConfigurationError, DataError
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.ingest import ROLES
from seqtune.tasks.summarize.params import SummarizeConfig
from seqtune.tasks.summarize.split import hold_out
from seqtune.text.rows import plain
from text_stages import SplitStage

Pair = tuple[str, str]


def pairs(*numbers: int) -> list[Pair]:
    return [(f"#Person1#: Is it {n}?\n#Person2#: Yes.", f"It is {n}.") for n in numbers]


class DialogueSplit(SplitStage):
    task, config = TASK, SummarizeConfig

    def ingested(self, *parts: Sequence[Pair], **settings: Any) -> Path:
        """Ingest dialogues of each role, in their order; an empty one has no file."""
        raw = self.new("raw")
        sources = {
            role: (_write(raw / f"{role}.jsonl", role, rows),) if rows else ()
            for role, rows in zip(ROLES, [*parts, [], []][:3], strict=True)
        }
        return self.ingest_sources(sources, **settings)


def _write(path: Path, role: str, rows: Sequence[Pair]) -> Path:
    lines = [
        json.dumps({"fname": f"{role}-{number}", "dialogue": dialogue, "summary": summary})
        for number, (dialogue, summary) in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def stage(tmp_path: Path) -> DialogueSplit:
    return DialogueSplit(tmp_path)


def test_random_parts_hold_everything_once(stage: DialogueSplit) -> None:
    data, report = stage.split(stage.ingested(pairs(*range(50))))
    assert data.manifest.rows == {"train": 40, "valid": 5, "test": 5} == report["rows"]
    found = [
        (dialogue, summaries[0])
        for part in ("train", "valid", "test")
        for dialogue, summaries in zip(data.dialogues(part), data.references(part), strict=True)
    ]
    assert sorted(found) == sorted(pairs(*range(50)))
    assert report["strategy"] == "random"
    assert report["headline"] == ["split: train 40, valid 5, test 5 dialogues"]
    assert set(data.made_with) == {"ingest", "split"}
    assert data.table("train").column_names == [
        "row", "id", "dialogue", "summaries", "topic", "augmented",
    ]  # fmt: skip
    assert set(data.table("train")["augmented"].to_pylist()) == {""}


def test_the_same_seed_gives_the_same_bytes(stage: DialogueSplit) -> None:
    dialogues = stage.ingested(pairs(*range(50)))
    hashes = [stage.split(dialogues, seed=seed)[0].content_hash for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_official_parts_are_taken_as_they_are(stage: DialogueSplit) -> None:
    data, report = stage.split(
        stage.ingested(pairs(*range(20)), pairs(100, 101, 102), pairs(200, 201))
    )
    assert data.manifest.rows == {"train": 20, "valid": 3, "test": 2}
    assert data.ids("valid") == [f"valid_dialogues-{n}" for n in range(3)]
    assert report["strategy"] == "official"
    assert any("split.valid_share is not used" in line for line in report["headline"])
    assert any("split.test_share is not used" in line for line in report["headline"])


def test_an_official_test_is_the_same_whatever_is_trained_on(stage: DialogueSplit) -> None:
    found = [stage.ingested(pairs(*range(num)), [], pairs(200, 201)) for num in (20, 30)]
    few, many = (stage.split(dialogues)[0] for dialogues in found)
    assert few.test_hash == many.test_hash
    assert few.content_hash != many.content_hash


def test_one_official_part_and_one_at_random(stage: DialogueSplit) -> None:
    data, report = stage.split(stage.ingested(pairs(*range(20)), pairs(100, 101, 102)))
    assert data.manifest.rows == {"train": 18, "valid": 3, "test": 2}
    assert not any("test_share" in line for line in report["headline"])
    data, _ = stage.split(stage.ingested(pairs(*range(20)), [], pairs(200)), valid_share=0.25)
    assert data.manifest.rows == {"train": 15, "valid": 5, "test": 1}


def test_everything_but_test_can_be_trained_on(stage: DialogueSplit) -> None:
    dialogues = stage.ingested(pairs(*range(20)), pairs(100, 101, 200), pairs(200, 201))
    data, report = stage.split(dialogues, use_full_data=True)
    assert data.manifest.rows == {"train": 22, "valid": 0, "test": 2}
    assert not data.has_validation
    assert report["leaked"]["train_and_test"] == 1


def test_dialogues_of_official_parts_are_not_trained_on(stage: DialogueSplit) -> None:
    like = [("#person1#:  is it 4?\n#Person2#: YES", "Other words.")]
    dialogues = stage.ingested(pairs(*range(20)), like + pairs(100), pairs(5, 100))
    data, report = stage.split(dialogues)
    assert report["leaked"] == {"train_and_valid": 1, "train_and_test": 1, "valid_and_test": 1}
    assert data.num_rows("train") == 18
    held = {plain(text) for part in ("valid", "test") for text in data.dialogues(part)}
    assert not held & {plain(text) for text in data.dialogues("train")}
    assert data.num_rows("valid") == data.num_rows("test") == 2
    assert sum("left out of train" in line for line in report["headline"]) == 2
    assert any("both are official" in line for line in report["headline"])


def test_what_is_equal_shares_a_part(stage: DialogueSplit) -> None:
    twice = [
        pair
        for n in range(30)
        for pair in (*pairs(n), (f"#PERSON1#: Is it {n}? #Person2#: yes", "Y"))
    ]
    data, report = stage.split(stage.ingested(twice), valid_share=0.2, test_share=0.2)
    found = [{plain(t) for t in data.dialogues(part)} for part in ("train", "valid", "test")]
    assert not found[0] & (found[1] | found[2])
    assert not found[1] & found[2]
    assert report["rows"] == {"train": 36, "valid": 12, "test": 12}


@given(
    st.lists(st.integers(1, 3), min_size=30, max_size=80),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.integers(0, 5),
)
def test_sizes_and_groups(weights: list[int], test: float, seed: int) -> None:
    groups = np.repeat(np.arange(len(weights)), weights)
    parts = hold_out(groups, (0.2, test), seed=seed)
    sizes = np.bincount(parts, minlength=3)
    assert abs(sizes[1] - 0.2 * len(groups)) <= 2.5
    assert abs(sizes[2] - test * len(groups)) <= 2.5
    assert all(len(set(parts[groups == group])) == 1 for group in range(len(weights)))
    assert (parts == hold_out(groups, (0.2, test), seed=seed)).all()


def test_too_few_dialogues(stage: DialogueSplit) -> None:
    with pytest.raises(DataError, match="2 dialogues are too few: 1 for valid and 1 for test"):
        stage.split(stage.ingested(pairs(1, 2)))


def test_all_dialogues_are_equal(stage: DialogueSplit) -> None:
    keep = {"on_duplicates": "keep"}
    with pytest.raises(DataError, match="must share a part"):
        stage.split(stage.ingested(pairs(*[1] * 10), **keep), ingest=keep)


def test_settings_that_come_too_late(stage: DialogueSplit) -> None:
    with pytest.raises(ConfigurationError, match=r"summarize\.ingest\.on_empty='drop' has no eff"):
        stage.split(stage.ingested(pairs(*range(9))), ingest={"on_empty": "drop"})


def test_no_ingested_dialogues(stage: DialogueSplit) -> None:
    with pytest.raises(ArtifactError, match="stage ingest of its task again"):
        stage.split(stage.new("nothing"))
