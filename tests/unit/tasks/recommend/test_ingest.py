"""What comes out of ingest: order, numbers, ids, policies, side tables, the report."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from seqtune.core.errors import ArtifactError, ConfigurationError, DataError
from seqtune.tasks.recommend.ingest import ingest, read_manifest
from seqtune.tasks.recommend.params import RecommendConfig

LOG = "user,item,time\n7,30,5\n5,10,1\n7,20,4\n5,20,2\n7,10,4\n5,30,3\n"
"""Sequences: user 5: 10 20 30; user 7: 20 10 30 (20 and 10 at one time, in the file's order)."""


def config(**ingest_settings: Any) -> RecommendConfig:
    return RecommendConfig.model_validate({"ingest": ingest_settings})


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def run(
    folder: Path, *files: Path, sides: dict[str, Path] | None = None, **ingest_settings: Any
) -> tuple[Path, dict[str, Any]]:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    sources = {"interactions": files, **{name: (path,) for name, path in (sides or {}).items()}}
    return out, ingest(sources, config(**ingest_settings), out=out)


def table(path: Path) -> list[tuple[Any, ...]]:
    columns = pq.read_table(path).to_pydict()
    return list(zip(*columns.values(), strict=True))


def sequences(out: Path) -> dict[Any, list[Any]]:
    """Raw user id -> raw item ids in order: what a user would call the content."""
    users = dict(table(out / "users.parquet"))
    items = {number: raw for number, raw, _ in table(out / "items.parquet")}
    found: dict[Any, list[Any]] = {}
    for user, item, _ in table(out / "interactions.parquet"):
        found.setdefault(users[user], []).append(items[item])
    return found


def test_rows_are_numbered_by_sorted_id_and_ordered_by_user_time_file(tmp_path: Path) -> None:
    out, report = run(tmp_path, write(tmp_path / "log.csv", LOG))
    assert table(out / "interactions.parquet") == [
        (0, 1, 1),
        (0, 2, 2),
        (0, 3, 3),
        (1, 2, 4),
        (1, 1, 4),
        (1, 3, 5),
    ]
    assert table(out / "users.parquet") == [(0, 5), (1, 7)]
    assert table(out / "items.parquet") == [(1, 10, 2), (2, 20, 2), (3, 30, 2)]
    schema = pq.read_schema(out / "interactions.parquet")
    assert schema.types == [pa.int32(), pa.int32(), pa.int64()]
    assert report["density"] == 1.0
    assert report["length"] == {
        **dict.fromkeys(("min", "p5", "p25", "p50", "p75", "p95", "max"), 3),
        "mean": 3.0,
    }
    json.dumps(report, allow_nan=False)


def test_nothing_but_the_artefact_is_left(tmp_path: Path) -> None:
    out, _ = run(tmp_path, write(tmp_path / "log.csv.gz", gzip.compress(LOG.encode())))
    assert sorted(path.name for path in out.iterdir()) == [
        "interactions.parquet",
        "items.parquet",
        "manifest.json",
        "users.parquet",
    ]


def as_tsv(path: Path) -> Path:
    return write(path / "log.tsv", LOG.replace(",", "\t"))


def as_semicolons(path: Path) -> Path:
    return write(path / "log.txt", LOG.replace(",", ";"))


def as_pipes(path: Path) -> Path:
    return write(path / "log.txt", LOG.replace(",", "|"))


def as_spaces(path: Path) -> Path:
    return write(path / "log.txt", LOG.replace(",", " "))


def as_gzip(path: Path) -> Path:
    return write(path / "log.csv.gz", gzip.compress(LOG.encode()))


def as_windows(path: Path) -> Path:
    return write(path / "log.csv", LOG.replace("\n", "\r\n"))


def as_old_mac(path: Path) -> Path:
    return write(path / "log.csv", LOG.replace("\n", "\r"))


def as_marked_utf8(path: Path) -> Path:
    return write(path / "log.csv", b"\xef\xbb\xbf" + LOG.encode())


def without_last_line_end(path: Path) -> Path:
    return write(path / "log.csv", LOG.rstrip())


def with_blank_lines(path: Path) -> Path:
    return write(path / "log.csv", LOG.replace("\n5,10", "\n\n5,10") + "\n\n")


def with_blank_lines_first(path: Path) -> Path:
    return write(path / "log.csv", "\n\n" + LOG)


def with_spaced_header(path: Path) -> Path:
    return write(path / "log.csv", LOG.replace("user,item,time", "user, item, time"))


def with_more_columns(path: Path) -> Path:
    lines = LOG.splitlines()
    more = [f'"wei""rd, {n}",{line}' for n, line in enumerate(lines)]
    return write(path / "log.csv", "\n".join(more))


def as_parquet(path: Path) -> Path:
    source = write(path / "log.csv", LOG)
    pq.write_table(pacsv.read_csv(source), path / "log.parquet")
    return path / "log.parquet"


def as_parquet_without_a_telling_name(path: Path) -> Path:
    return as_parquet(path).rename(path / "part-0000")


@pytest.mark.parametrize(
    "make",
    [
        as_tsv,
        as_semicolons,
        as_pipes,
        as_spaces,
        as_gzip,
        as_windows,
        as_old_mac,
        as_marked_utf8,
        without_last_line_end,
        with_blank_lines,
        with_blank_lines_first,
        with_spaced_header,
        with_more_columns,
        as_parquet,
        as_parquet_without_a_telling_name,
    ],
)
def test_every_format_gives_the_same(make: Any, tmp_path: Path) -> None:
    out, report = run(tmp_path, make(tmp_path))
    assert sequences(out) == {5: [10, 20, 30], 7: [20, 10, 30]}
    assert report["id_types"] == {"user": "integer", "item": "integer"}
    assert report["time"]["kind"] == "integer"


def test_several_files_are_one_log_in_their_order(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "user,item,time\n1,b,0\n2,b,0\n1,a,0\n")
    second = write(tmp_path / "b.csv", "item;time;user\na;0;2\nc;0;1\nc;0;2\n")
    out, report = run(tmp_path, first, second)
    assert sequences(out) == {1: ["b", "a", "c"], 2: ["b", "a", "c"]}
    assert [file["rows"] for file in report["files"]] == [3, 3]


def test_a_file_without_header_and_times_keeps_its_order(tmp_path: Path) -> None:
    path = write(tmp_path / "log.txt", "1 9\n1 7\n1 8\n2 8\n2 9\n2 8\n")
    out, report = run(
        tmp_path, path, header=False, file_columns=["user", "item"], columns={"time": None}
    )
    assert sequences(out) == {1: [9, 7, 8], 2: [8, 9, 8]}
    assert [time for _, _, time in table(out / "interactions.parquet")] == [0, 1, 2, 3, 4, 5]
    assert report["time"]["kind"] == "order"
    assert "1 rows name an item that the user had before" in report["warnings"][0]


def test_columns_may_have_any_name(tmp_path: Path) -> None:
    names = {"user": 'the "user"\'; DROP TABLE raw; --', "item": "영화 id", "time": "$time"}
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names.values())
    path = write(tmp_path / "a 'quoted' [1]*?.csv", LOG.replace("user,item,time", header))
    out, _ = run(tmp_path, path, columns=names)
    assert sequences(out) == {5: [10, 20, 30], 7: [20, 10, 30]}
    parquet = tmp_path / "b 'quoted' [1]*?.parquet"
    pq.write_table(pacsv.read_csv(path), parquet)
    out, _ = run(tmp_path, parquet, columns=names)
    assert sequences(out) == {5: [10, 20, 30], 7: [20, 10, 30]}


def test_any_folder_will_do(tmp_path: Path) -> None:
    folder = tmp_path / "o'; drop [x]*? \"y"
    folder.mkdir()
    genre = write(tmp_path / "genre.csv", "item,genre\n10,a\n")
    out, _ = run(folder, write(folder / "log.csv", LOG), sides={"genre": genre})
    assert sequences(out) == {5: [10, 20, 30], 7: [20, 10, 30]}
    assert table(out / "side_genre.parquet") == [(1, "a")]


def test_strange_ids_come_back_as_they_were(tmp_path: Path) -> None:
    items = [
        "a,b",
        'say ""hi""',
        " x ",
        "가나다",
        "한 글",
        "𝒳",
        "007",
        "two\nlines",
        "NULL",
        "'; --",
    ]
    rows = "".join(f'u{n},"{item}",{i}\n' for n in (1, 2) for i, item in enumerate(items))
    path = write(tmp_path / "log.csv", "user,item,time\n" + rows)
    out, report = run(tmp_path, path, null_values=[])
    expected = [item.replace('""', '"') for item in items]
    assert sequences(out) == {"u1": expected, "u2": expected}
    assert [raw for _, raw, _ in table(out / "items.parquet")] == sorted(
        expected, key=lambda text: text.encode()
    )
    assert any("begin or end with a space" in warning for warning in report["warnings"])


def test_ids_that_look_alike_are_counted_and_made_one_where_asked(tmp_path: Path) -> None:
    forms = ["\u00e9", "e\u0301", "\u00e9\u200b", "\ufeff\u00e9", "\u00a0\u00e9", "\u00e9 ", "b"]
    rows = "".join(f"{user},{item},{n}\n" for user in "xy" for n, item in enumerate(forms))
    path = write(tmp_path / "log.csv", f"user,item,time\n{rows}")
    out, report = run(tmp_path, path)
    assert sequences(out)["x"] == forms
    spaced, invisible, alike = report["warnings"]
    assert "column 'item': 2 ids begin or end with a space" in spaced
    assert "column 'item': 3 ids hold characters that cannot be seen" in invisible
    assert "column 'item': 5 ids differ from another one only" in alike
    out, report = run(tmp_path, path, normalize_ids=True)
    assert sequences(out)["x"] == ["\u00e9"] * 6 + ["b"]
    assert report["warnings"] == []


def test_leading_zeros_make_a_column_text(tmp_path: Path) -> None:
    out, report = run(tmp_path, write(tmp_path / "log.csv", LOG.replace(",30,", ",007,")))
    assert sequences(out)[5] == ["10", "20", "007"]
    assert report["id_types"] == {"user": "integer", "item": "string"}
    assert "leading zeros" in report["warnings"][0]


@pytest.mark.parametrize("odd", ["7.0", "1e1", "0x1F", " 7", "1_0"])
def test_what_duckdb_would_read_as_a_number_stays_text(odd: str, tmp_path: Path) -> None:
    """A fast path that trusted its parser would make these 7, 10, 31, 7 and 10."""
    log = LOG.replace(",30,", f",{odd},")
    out, _ = run(tmp_path, write(tmp_path / "log.csv", log), id_type="string")
    assert sequences(out)["5"] == ["10", "20", odd]


def test_a_late_odd_id_is_seen_behind_a_plain_sample(tmp_path: Path) -> None:
    rows = "".join(f"{n % 50},{n % 40},{n}\n" for n in range(5000))
    for odd in ("007", "0x10", "1e1"):
        path = write(tmp_path / "log.csv", f"user,item,time\n{rows}1,{odd},9000\n")
        out, report = run(tmp_path, path, id_type="string")
        assert odd in sequences(out)["1"]
        assert report["rows_kept"] == 5001


def test_a_late_large_number_is_read_as_well(tmp_path: Path) -> None:
    """Behind a sample of small ones, which are read as 32 bits."""
    rows = "".join(f"{n % 50},{n % 40},{n}\n" for n in range(5000))
    path = write(tmp_path / "log.csv", f"user,item,time\n{rows}1,{2**40},{2**50}\n")
    out, report = run(tmp_path, path)
    assert sequences(out)[1][-1] == 2**40
    assert report["time"]["last"] == 2**50


def test_very_large_integers_are_exact(tmp_path: Path) -> None:
    big = 2**62 + 1
    out, report = run(tmp_path, write(tmp_path / "log.csv", LOG.replace(",30,", f",{big},")))
    assert sequences(out)[5] == [10, 20, big]
    assert report["id_types"]["item"] == "integer"
    too_big = 2**63
    out, report = run(tmp_path, write(tmp_path / "log.csv", LOG.replace(",30,", f",{too_big},")))
    assert sequences(out)[5] == ["10", "20", str(too_big)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["0.5", "1", "2.25"], [500_000, 1_000_000, 2_250_000]),
        (["5.0", "6", "7e0"], [5, 6, 7]),
        (["1970-01-02", "1970-01-03", "1970-01-04"], [86_400_000_000 * n for n in (1, 2, 3)]),
        (
            ["1970-01-01 09:00:01+09:00", "1970-01-01T00:00:02Z", "1970-01-01 00:00:03.000004"],
            [1_000_000, 2_000_000, 3_000_004],
        ),
        (["1969-12-31", "1970-01-01", "1970/01/02"], [-86_400_000_000, 0, 86_400_000_000]),
    ],
)
def test_kinds_of_time(times: list[str], expected: list[int], tmp_path: Path) -> None:
    rows = "".join(f"{u},{i},{time}\n" for u in "ab" for i, time in enumerate(times))
    out, _ = run(tmp_path, write(tmp_path / "log.csv", "user,item,time\n" + rows))
    assert [time for _, _, time in table(out / "interactions.parquet")] == expected * 2


@pytest.mark.parametrize(
    ("times", "warning"),
    [
        (["1.6e9", "1.6E+09", "1600000000"], "4 times have an exponent"),
        (["7", "7", "7"], "all times are equal, so the order of the rows counts"),
        (["1600000000000", "1600000000001", "1600000000002"], None),
        (["0", "1600000000000", "1600000000001"], None),
    ],
)
def test_doubtful_times_are_said(times: list[str], warning: str | None, tmp_path: Path) -> None:
    rows = "".join(f"{u},{i},{time}\n" for u in "ab" for i, time in enumerate(times))
    _, report = run(tmp_path, write(tmp_path / "log.csv", "user,item,time\n" + rows))
    assert bool(report["warnings"]) == bool(warning)
    assert (warning or "") in " ".join(report["warnings"])


def test_times_of_parquet_types(tmp_path: Path) -> None:
    stamps = pa.array([3_000_000, 1_000_000, 2_000_000] * 2, pa.timestamp("us"))
    types = [("us", None), ("ns", None), ("s", "UTC"), ("ms", "UTC"), ("ns", "Asia/Seoul")]
    for times in (stamps.cast(pa.timestamp(unit, zone)) for unit, zone in types):
        data = pa.table({"user": list("aaabbb"), "item": [1, 2, 3] * 2, "time": times})
        pq.write_table(data, tmp_path / "log.parquet")
        out, report = run(tmp_path, tmp_path / "log.parquet")
        assert sequences(out) == {"a": [2, 3, 1], "b": [2, 3, 1]}
        assert report["time"]["first"] == "1970-01-01T00:00:01+00:00"
    days = pa.array([3, 1, 2] * 2, pa.date32())
    pq.write_table(data.set_column(2, "time", days), tmp_path / "log.parquet")
    out, report = run(tmp_path, tmp_path / "log.parquet")
    assert sequences(out) == {"a": [2, 3, 1], "b": [2, 3, 1]}
    assert report["time"]["first"] == "1970-01-02T00:00:00+00:00"


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Text of digits stays text, and pandas' floats for integers with gaps become integers."""
    data = pa.table(
        {
            "user": ["1", "2"] * 3,
            "item": [1.0, 2.0, 3.0, 1.0, 2.0, 3.0],
            "time": [3.0, 2, 1, 1, 2, 3],
        }
    )
    pq.write_table(data, tmp_path / "log.parquet")
    out, report = run(tmp_path, tmp_path / "log.parquet")
    assert report["id_types"] == {"user": "string", "item": "integer"}
    assert sequences(out) == {"1": [3, 2, 1], "2": [1, 2, 3]}


def test_integers_of_parquet_may_be_meant_as_text(tmp_path: Path) -> None:
    """In the order of the text: 10 comes before 5."""
    data = pa.table({"user": [5, 5, 10, 10], "item": [7, 12, 12, 7], "time": [1, 2, 3, 4]})
    pq.write_table(data, tmp_path / "log.parquet")
    out, report = run(tmp_path, tmp_path / "log.parquet", id_type="string", min_interactions=2)
    assert report["id_types"] == {"user": "string", "item": "string"}
    assert table(out / "users.parquet") == [(0, "10"), (1, "5")]
    assert sequences(out) == {"10": ["12", "7"], "5": ["7", "12"]}


def test_unix_times_are_explained(tmp_path: Path) -> None:
    log = LOG.replace(",1\n", ",1500000000\n").replace(",5\n", ",1500000005\n")
    _, report = run(
        tmp_path,
        write(
            tmp_path / "log.csv",
            "\n".join(line for line in log.splitlines() if "1500" in line or "user" in line)
            + "\n5,9,1500000003\n7,8,1500000003\n",
        ),
        min_interactions=1,
    )
    assert report["time"]["seems"] == "unix time in s"
    assert report["time"]["first_date"] == "2017-07-14T02:40:00+00:00"


def test_short_users_go_and_their_items_with_them(tmp_path: Path) -> None:
    log = LOG + "6,99,1\n6,10,2\n"
    out, report = run(tmp_path, write(tmp_path / "log.csv", log))
    assert sequences(out) == {5: [10, 20, 30], 7: [20, 10, 30]}
    assert table(out / "items.parquet") == [(1, 10, 2), (2, 20, 2), (3, 30, 2)]
    assert report["rows_dropped"]["short_user"] == 2
    assert (report["users_dropped"], report["items_dropped"]) == (1, 1)
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_dropped"].values())


def test_items_are_renumbered_when_one_in_the_middle_goes(tmp_path: Path) -> None:
    out, _ = run(tmp_path, write(tmp_path / "log.csv", LOG + "6,15,1\n"))
    assert table(out / "items.parquet") == [(1, 10, 2), (2, 20, 2), (3, 30, 2)]
    assert sequences(out) == {5: [10, 20, 30], 7: [20, 10, 30]}


def test_duplicates_are_dropped_or_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", LOG + "7,20,4\n5,10,1\n7,20,4\n5,10,9\n")
    out, report = run(tmp_path, path)
    assert sequences(out) == {5: [10, 20, 30, 10], 7: [20, 10, 30]}
    assert report["rows_dropped"]["duplicate"] == 3
    assert "3 rows that repeat an earlier one" in report["warnings"][0]
    out, report = run(tmp_path, path, on_duplicates="keep")
    assert sequences(out) == {5: [10, 10, 20, 30, 10], 7: [20, 10, 20, 20, 30]}
    assert report["rows_dropped"]["duplicate"] == 0
    assert "3 rows repeat an earlier one" in report["warnings"][0]


def test_duplicates_do_not_help_a_user_over_the_minimum(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", LOG + "6,10,1\n6,10,1\n6,20,1\n")
    out, report = run(tmp_path, path)
    assert list(sequences(out)) == [5, 7]
    assert report["rows_dropped"] == {"null": 0, "bad_time": 0, "duplicate": 1, "short_user": 2}


def test_bad_rows_are_dropped_and_counted_where_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", LOG + ",10,1\n5,,1\n5,10,\n5,10,-3\n5,10,soon\n5,10,nan\n")
    out, report = run(tmp_path, path, on_null="drop", on_bad_time="drop")
    assert sequences(out) == {5: [10, 20, 30], 7: [20, 10, 30]}
    assert report["rows_dropped"] == {"null": 3, "bad_time": 3, "duplicate": 0, "short_user": 0}


def test_what_means_missing_is_dropped_and_counted_where_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", LOG + "NULL,10,1\n5,nan,1\n")
    out, report = run(tmp_path, path, on_null="drop")
    assert sequences(out) == {5: [10, 20, 30], 7: [20, 10, 30]}
    assert report["rows_dropped"]["null"] == 2
    items = [10.0, 20.0, 30.0, float("nan")] * 2
    data = pa.table({"user": ["a"] * 4 + ["b"] * 4, "item": items, "time": [1, 2, 3, 4] * 2})
    pq.write_table(data, tmp_path / "log.parquet")
    out, report = run(tmp_path, tmp_path / "log.parquet", on_null="drop")
    assert sequences(out) == {"a": [10, 20, 30], "b": [10, 20, 30]}
    assert report["rows_dropped"]["null"] == 2


def test_a_time_in_another_unit_is_dropped_and_counted_where_asked(tmp_path: Path) -> None:
    log = "user,item,time\n" + "".join(
        f"{u},{i},{1600000000 + i}\n" for u in "ab" for i in (1, 2, 3)
    )
    path = write(tmp_path / "log.csv", log + "a,4,1600000000000\n")
    out, report = run(tmp_path, path, on_bad_time="drop")
    assert sequences(out) == {"a": [1, 2, 3], "b": [1, 2, 3]}
    assert report["rows_dropped"]["bad_time"] == 1


def test_a_column_has_one_role() -> None:
    with pytest.raises(ValidationError, match="user=item, item=item and time=time name a column"):
        config(columns={"user": "item"})


@pytest.mark.parametrize("encoding", ["utf-16", "cp949", "euc-kr", "latin-1"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    item = "é" if encoding == "latin-1" else "가나"
    log = LOG.replace(",20,", f",{item},")
    path = write(tmp_path / "log.csv", log.encode(encoding))
    out, _ = run(tmp_path, path, encoding=encoding, id_type="string")
    assert sequences(out)["5"] == ["10", item, "30"]


def test_side_tables_keep_what_concerns_the_items(tmp_path: Path) -> None:
    genre = write(
        tmp_path / "genre.tsv", "item\tgenre\n30\tdrama\n10\tcomedy\n10\tdrama\n10\tcomedy\n99\tx\n"
    )
    title = write(tmp_path / "title.csv", 'item,title\n10,"Toy Story, again"\n20,토이 스토리\n')
    out, report = run(
        tmp_path,
        write(tmp_path / "log.csv", LOG),
        sides={"genre": genre, "title": title},
    )
    assert table(out / "side_genre.parquet") == [(1, "comedy"), (1, "drama"), (3, "drama")]
    assert table(out / "side_title.parquet") == [(1, "Toy Story, again"), (2, "토이 스토리")]
    assert report["sides"]["genre"]["rows_dropped"] == {
        "null": 0,
        "duplicate": 1,
        "unknown_item": 1,
    }
    assert report["sides"]["genre"]["items_unknown"] == 1
    assert "title: 1 of 3 items have no value" in report["warnings"]
    assert read_manifest(out).sides == {"genre": 3, "title": 2}


def test_a_side_switch_needs_its_file(tmp_path: Path) -> None:
    settings_ = RecommendConfig.model_validate(
        {"model": {"use_genre_emb": True, "use_title_emb": True}}
    )
    sources = {"interactions": (write(tmp_path / "log.csv", LOG),), "genre": ()}
    with pytest.raises(
        ConfigurationError, match=r"use_genre_emb=true.*recommend\.raw_sides"
    ) as caught:
        ingest(sources, settings_, out=tmp_path)
    assert len(caught.value.faults) == 2


def test_threads_and_pieces_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{n * 7919 % 60},{n * 104729 % 40},{n * 31 % 97}\n" for n in range(3000))
    path = write(tmp_path / "log.csv", "user,item,time\n" + rows)
    out, _ = run(tmp_path, path)
    whole = table(out / "interactions.parquet")
    monkeypatch.setattr("seqtune.tasks.recommend.ingest.steps.PIECE_ROWS", 100)
    out, _ = run(tmp_path, path)
    assert table(out / "interactions.parquet") == whole


def test_an_unfinished_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no manifest\.json"):
        read_manifest(tmp_path)
    write(tmp_path / "manifest.json", "{}")
    with pytest.raises(ArtifactError, match="damaged"):
        read_manifest(tmp_path)


ids = st.sampled_from(["1", "2", "3", "a", "가", "", "0x1"])
times = st.integers(0, 4)


@given(st.lists(st.tuples(ids, ids, times), min_size=1, max_size=40), st.integers(1, 3))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_like_a_plain_implementation(
    tmp_path: Path, rows: list[tuple[str, str, int]], minimum: int
) -> None:
    text = "user,item,time\n" + "".join(f"{u},{i},{t}\n" for u, i, t in rows)
    kept = list(dict.fromkeys(row for row in rows if row[0] and row[1]))
    users = sorted({user for user, _, _ in kept}, key=lambda text: text.encode())
    expected = {
        user: [i for _, i, _ in sorted((r for r in kept if r[0] == user), key=lambda r: r[2])]
        for user in users
        if sum(row[0] == user for row in kept) >= minimum
    }
    path = write(tmp_path / "log.csv", text)
    try:
        out, report = run(
            tmp_path, path, id_type="string", on_null="drop", min_interactions=minimum
        )
    except DataError:
        assert len(expected) < 2 or len({item for _, item, _ in kept}) < 2
        return
    assert sequences(out) == expected
    assert list(sequences(out)) == list(expected)
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_dropped"].values())
