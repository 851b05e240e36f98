"""Looking at data: counts by hand, dates where times are dates, users in their own ids."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import DataError
from seqtune.tasks.recommend import overview
from seqtune.tasks.recommend.ingest.manifest import InteractionsManifest

from .split_folders import write_split

ROWS = [(0, 1, 0), (0, 2, 10), (0, 1, 40), (1, 3, 19), (2, 1, 20), (2, 3, 39)]
DAY = 24 * 3600


def write_interactions(path, *, time="integer", times=None, titles=None):
    path.mkdir()
    user, item, found = (np.array(column) for column in zip(*ROWS, strict=True))
    log = {"user": user.astype("i4"), "item": item.astype("i4"), "time": times or found}
    pq.write_table(pa.table(log), path / "interactions.parquet")
    ids = {"item": [1, 2, 3], "item_id": ["a", "b", "<script>"], "count": [3, 1, 2]}
    pq.write_table(pa.table(ids), path / "items.parquet")
    if titles:
        pq.write_table(pa.table(titles), path / "side_title.parquet")
    InteractionsManifest(
        num_users=3,
        num_items=3,
        num_interactions=6,
        user_id_type="integer",
        item_id_type="string",
        time=time,
        sides={"title": 2} if titles else {},
        made_with={},
    ).write(path)
    return path


def test_lengths_of_histories(tmp_path):
    folder = write_interactions(tmp_path / "i")
    assert overview.history_lengths(folder).tolist() == [3, 1, 2]


def test_plain_numbers_stay_numbers(tmp_path):
    found = overview.activity(write_interactions(tmp_path / "i"), num_bins=2)
    assert found.edges == [0.0, 20.5, 41.0]
    assert found.counts == [4, 2]


def test_unix_times_and_timestamps_become_dates(tmp_path):
    start = 1_000_000_000
    seconds = [start + day * DAY for day in range(6)]
    unix = overview.activity(write_interactions(tmp_path / "s", times=seconds), num_bins=5)
    stamps = [second * 10**6 for second in seconds]
    folder = write_interactions(tmp_path / "t", time="timestamp", times=stamps)
    stamped = overview.activity(folder, num_bins=5)

    for found in (unix, stamped):
        assert found.edges[0] == "2001-09-09T01:46:40+00:00"
        assert found.edges[-1].startswith("2001-09-14T01:46:4")
        assert sum(found.counts) == 6


def test_fractions_are_shown_as_they_were_given(tmp_path):
    times = [500_000 * number for number in range(6)]
    folder = write_interactions(tmp_path / "i", time="fraction", times=times)
    assert overview.activity(folder, num_bins=1).edges == pytest.approx([0.0, 2.5], abs=1e-5)


def test_a_log_without_times_has_no_activity(tmp_path):
    assert overview.activity(write_interactions(tmp_path / "i", time="order")) is None


def test_items_are_called_by_their_title_or_their_id(tmp_path):
    titles = {"item": [1, 3], "value": ["Alien", "<b>Brazil</b>"]}
    folder = write_interactions(tmp_path / "i", titles=titles)
    assert overview.titles(folder) == {"a": "Alien", "b": "b", "<script>": "<b>Brazil</b>"}
    assert overview.titles(write_interactions(tmp_path / "j"))["<script>"] == "<script>"


def test_people_come_with_what_they_chose_next(tmp_path):
    path = tmp_path / "split"
    write_split(path, [[1, 2, 3], [3], [2, 1]], user_ids=["x", "y", "z"], item_ids=["a", "b", "c"])

    assert overview.people(path, ["y", "x"]) == [("y", ["c"], None), ("x", ["a", "b"], "c")]
    assert [person.user for person in overview.people(path, limit=2)] == ["x", "z"]
    assert len(overview.people(path)) == 3
    with pytest.raises(DataError, match=r"users \['nobody'\] are not in the split; .* 'x'"):
        overview.people(path, ["nobody"])


def test_overlap_is_the_mean_share_in_common():
    one, other = [["a", "b"], ["c", "d"]], [["b", "x"], ["d", "c"]]
    assert overview.overlaps([one, other, [[], ["c"]]]) == [
        [1.0, 0.75, 0.25],
        [0.75, 1.0, 0.25],
        [0.25, 0.25, 0.5],
    ]
