"""Splits: by hand, and by properties over random logs (nothing leaks, nothing is lost)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seqtune.core.errors import ConfigurationError
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.ingest import ingest
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.tasks.recommend.split import split

Row = tuple[int, int, int]

LOG: list[Row] = [
    *((1, item, time) for time, item in enumerate([10, 11, 12, 13, 14])),
    *((2, item, time) for time, item in enumerate([14, 13, 12], start=3)),
    (3, 10, 9),
    (3, 11, 8),
    (4, 12, 9),
]


def make(
    folder: Path,
    rows: list[Row] = LOG,
    *,
    with_time: bool = True,
    sides: dict[str, str] | None = None,
    **split_settings: Any,
) -> tuple[SplitData, dict[str, Any]]:
    """Ingest rows (user, item, time) and split them."""
    log = folder / "log.csv"
    log.write_text("user,item,time\n" + "".join(f"{u},{i},{t}\n" for u, i, t in rows))
    sources = {"interactions": (log,)}
    for name, text in (sides or {}).items():
        (folder / f"{name}.csv").write_text(f"item,{name}\n{text}")
        sources[name] = (folder / f"{name}.csv",)
    config = RecommendConfig.model_validate(
        {
            "ingest": {
                "min_interactions": 1,
                "columns": {"time": "time" if with_time else None},
            },
            "split": split_settings,
        }
    )
    interactions, out = folder / "interactions", folder / "split"
    for place in (interactions, out):
        place.mkdir(exist_ok=True)
    ingest(sources, config, out=interactions)
    report = split(interactions, config, out=out)
    return SplitData.open(out), report


def test_last_item_with_test(tmp_path: Path) -> None:
    data, report = make(tmp_path)
    assert data.items.tolist() == [1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 3]
    assert data.offsets.tolist() == [0, 5, 8, 10, 11]
    assert data.train_end.tolist() == [3, 1, 1, 1]
    assert data.valid_at.tolist() == [3, 1, -1, -1]
    assert data.test_at.tolist() == [4, 2, 1, -1]
    assert data.train_counts.tolist() == [0, 1, 2, 2, 0, 1]
    assert report["users_with_target"] == {"valid": 2, "test": 3}
    assert report["users_too_short"] == 2
    assert report["items_without_training"] == 1
    assert report["train_interactions"] == 6


def test_last_item_without_test(tmp_path: Path) -> None:
    data, report = make(tmp_path, test_items=0)
    assert data.train_end.tolist() == [4, 2, 1, 1]
    assert data.valid_at.tolist() == [4, 2, 1, -1]
    assert data.test_at.tolist() == [-1, -1, -1, -1]
    assert report["users_too_short"] == 1
    assert data.has_validation
    assert not data.has_test


@pytest.mark.parametrize("strategy", ["last_item", "temporal"])
def test_full_data(strategy: str, tmp_path: Path) -> None:
    data, report = make(tmp_path, use_full_data=True, strategy=strategy)
    assert data.train_end.tolist() == [5, 3, 2, 1]
    assert not data.has_validation
    assert not data.has_test
    assert report["train_share"] == 1.0
    assert data.manifest.use_full_data


def test_temporal(tmp_path: Path) -> None:
    """Times: 0 1 2 3 4 | 3 4 5 | 8 9 | 9. The last 2 of 11 are from 9 on, 5 from 4 on (ties)."""
    data, report = make(tmp_path, strategy="temporal", valid_share=0.27, test_share=0.18)
    assert report["cuts"] == {"valid_from": 4, "test_from": 9}
    assert data.train_end.tolist() == [4, 1, 0, 0]
    assert data.valid_at.tolist() == [4, 1, -1, -1]
    assert data.test_at.tolist() == [-1, -1, 1, -1]
    assert report["users_without_training"] == 2


def test_temporal_without_test(tmp_path: Path) -> None:
    data, report = make(tmp_path, strategy="temporal", valid_share=0.2, test_share=0.0)
    assert report["cuts"] == {"valid_from": 8, "test_from": None}
    assert not data.has_test


def test_temporal_needs_times(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"temporal needs times.*columns\.time"):
        make(tmp_path, with_time=False, strategy="temporal")


def test_temporal_needs_different_times(tmp_path: Path) -> None:
    rows = [(user, item, 5) for user in range(4) for item in range(4)]
    with pytest.raises(ConfigurationError, match=r"cannot be cut by time"):
        make(tmp_path, rows, strategy="temporal")


def test_side_tables_as_numbers(tmp_path: Path) -> None:
    genre = "14,b\n10,c\n10,a\n12,b\n"
    title = '10,"The Toy, a Story"\n11,TOY story 2\n12,토이 스토리\n13,"story? (토이)"\n14,one\n'
    data, report = make(tmp_path, sides={"genre": genre, "title": title})
    side = data.sides["genre"]
    assert side.num_values == 3
    assert side.offsets.tolist() == [0, 0, 2, 2, 3, 3, 4]
    assert side.values.tolist() == [1, 3, 2, 2]
    words = data.sides["title"]  # story 1, toy 2, 토이 3
    assert words.num_values == 3
    assert words.offsets.tolist() == [0, 0, 2, 4, 5, 7, 7]
    assert words.values.tolist() == [1, 2, 1, 2, 3, 1, 3]
    assert report["sides"] == {"genre": 3, "title": 3}


def test_titles_without_common_words(tmp_path: Path) -> None:
    data, report = make(tmp_path, sides={"title": "10,one\n11,two\n"})
    assert data.sides["title"].num_values == 0
    assert data.sides["title"].offsets.tolist() == [0] * 7
    assert "title: no values" in report["warnings"]


def hashes(folder: Path, **settings_: Any) -> tuple[str, str]:
    folder.mkdir()
    data, _ = make(folder, **settings_)
    return data.content_hash, data.assets_hash


def test_hashes_change_with_what_they_stand_for(tmp_path: Path) -> None:
    content, vocabulary = hashes(tmp_path / "a")
    assert hashes(tmp_path / "b", rows=LOG[::-1]) == (content, vocabulary)  # no ties in time
    assert hashes(tmp_path / "c", test_items=0)[0] != content
    assert hashes(tmp_path / "d", sides={"genre": "10,a\n"})[0] != content
    renamed = [(user, item * 2, time) for user, item, time in LOG]
    other_content, other_vocabulary = hashes(tmp_path / "e", rows=renamed)
    assert other_content == content  # the same numbers: the same training data
    assert other_vocabulary != vocabulary  # but they mean other items
    swapped = [(user, {10: 11, 11: 10}.get(item, item), time) for user, item, time in LOG]
    assert hashes(tmp_path / "f", rows=swapped)[0] != content
    assert hashes(tmp_path / "f2", rows=swapped)[1] == vocabulary


logs = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(0, 12)),
    min_size=2,
    max_size=40,
    unique=True,
).filter(lambda rows: len({u for u, _, _ in rows}) > 1 and len({i for _, i, _ in rows}) > 1)
strategies = st.sampled_from(
    [
        {"strategy": "last_item", "test_items": 0},
        {"strategy": "last_item", "test_items": 1},
        {"strategy": "temporal", "valid_share": 0.2, "test_share": 0.2},
        {"strategy": "temporal", "valid_share": 0.5, "test_share": 0.0},
        {"use_full_data": True},
    ]
)


@given(logs, strategies)
@settings(max_examples=25, deadline=None)
def test_nothing_leaks_and_nothing_is_lost(rows: list[Row], how: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            data, report = make(Path(folder), rows, **how)
        except ConfigurationError:
            assume(False)  # too many equal times to cut
        _check_against_the_log(data, report, rows)


def _check_against_the_log(data: SplitData, report: dict[str, Any], rows: list[Row]) -> None:
    numbers = {raw: n for n, raw in enumerate(sorted({item for _, item, _ in rows}), start=1)}
    trained = np.zeros(len(numbers) + 1, dtype=np.int64)
    num_targets = {"valid": 0, "test": 0}
    for position, user in enumerate(sorted({user for user, _, _ in rows})):
        own = sorted((row for row in rows if row[0] == user), key=lambda row: row[2])
        start, end = data.offsets[position : position + 2]
        assert data.items[start:end].tolist() == [numbers[item] for _, item, _ in own]
        train_end = int(data.train_end[position])
        assert 0 <= train_end <= len(own)
        trained += np.bincount(data.items[start : start + train_end], minlength=len(trained))
        valid, test = int(data.valid_at[position]), int(data.test_at[position])
        for name, target in (("valid", valid), ("test", test)):
            assert target == -1 or train_end <= target < len(own)
            assert target != 0  # something came before it
            num_targets[name] += target >= 0
        assert -1 in (valid, test) or valid < test
        if cuts := report.get("cuts"):
            times = [time for _, _, time in own]
            assert all(time < cuts["valid_from"] for time in times[:train_end])
            assert all(time >= cuts["valid_from"] for time in times[train_end:])
            if test >= 0:
                assert times[test - 1] < cuts["test_from"] <= times[test]
        elif report["strategy"] != "use_full_data":
            assert train_end >= 1
    assert data.train_counts.tolist() == trained.tolist()
    assert report["users_with_target"] == num_targets
    assert len(data.items) == len(rows)
