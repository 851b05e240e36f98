"""Text files as users have them, and the line that every fault names."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import DataError
from seqtune.text.tables import LONGEST_FIELD, Row, read_rows, require_columns


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def values(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [dict(row.values) for row in read_rows([path], **options)]


def fault(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        list(read_rows([path], **options))
    return str(caught.value)


class TestCsv:
    def test_fields_with_commas_breaks_and_quotes_know_their_first_line(
        self, tmp_path: Path
    ) -> None:
        text = 'id,text\n1,"a, b"\n2,"line one\nline two\n\nlast"\n\n3,"say ""hi"""\n'
        rows = list(read_rows([written(tmp_path, "a.csv", text)]))

        assert [row.line for row in rows] == [2, 3, 8]
        assert [row.values["text"] for row in rows] == [
            "a, b",
            "line one\nline two\n\nlast",
            'say "hi"',
        ]
        assert rows[1].place == f"{tmp_path}/a.csv, line 3"

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_any_line_end(self, tmp_path: Path, end: str) -> None:
        path = written(tmp_path, "a.csv", end.join(["id,text", "1,가", "", '2,"b"', ""]))
        rows = list(read_rows([path]))
        assert [(row.line, row.values["text"]) for row in rows] == [(2, "가"), (4, "b")]

    def test_byte_order_mark_is_no_part_of_the_first_name(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", b"\xef\xbb\xbf" + b"text,x\nhello,1\n")
        assert values(path) == [{"text": "hello", "x": "1"}]

    @pytest.mark.parametrize(("row", "count"), [("2,b,c", 3), ("2", 1)])
    def test_wrong_number_of_fields(self, tmp_path: Path, row: str, count: int) -> None:
        path = written(tmp_path, "a.csv", f'id,text\n1,"a\nb"\n{row}\n')
        assert f"a.csv, line 4: {count} fields, but the header names 2; put fields" in fault(path)

    @pytest.mark.parametrize("tail", ['2,"never closed\n3,c\n', '2,"closed" too early\n'])
    def test_a_wrong_quote_names_where_its_record_begins(self, tmp_path: Path, tail: str) -> None:
        path = written(tmp_path, "a.csv", 'id,text\n1,"a\nb"\n' + tail)
        assert "a.csv, line 4: the record that begins here cannot be read" in fault(path)

    def test_a_field_over_the_limit(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", "text\nfine\n" + "x" * (LONGEST_FIELD + 1) + "\n")
        assert "a.csv, line 3: the record that begins here cannot be read (field larger" in fault(
            path
        )

    def test_a_field_over_the_usual_limit_of_python_is_read(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", "text\n" + "x" * 500_000 + "\n")
        assert len(values(path)[0]["text"]) == 500_000

    def test_a_column_named_twice(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", "text,label,label\na,0,1\n")
        assert "a.csv has several columns 'label'; give each a unique name" in fault(path)

    def test_tabs_in_a_file_that_ends_in_csv(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", "text\tlabel\na\t0\n")
        assert "that contains '\\t'; use the ending of its format" in fault(path)
        assert values(path, kind="tsv") == [{"text": "a", "label": "0"}]


class TestTsv:
    def test_quotes_of_texts_stay(self, tmp_path: Path) -> None:
        texts = ['대구" ㄷㄷㄷ', '"open', 'close"', '"whole"', 'in "the" middle', "'", '""']
        path = written(tmp_path, "a.tsv", "text\tx\n" + "".join(f"{t}\t0\n" for t in texts))
        assert [row["text"] for row in values(path)] == texts

    def test_fields_that_a_csv_writer_quoted_are_taken_out_of_their_quotes(
        self, tmp_path: Path
    ) -> None:
        texts = ['he said "hi"', '"', '"a" "b"', "plain"]
        with (tmp_path / "a.tsv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t").writerows([["text", "x"], *([t, 0] for t in texts)])
        assert [row["text"] for row in values(tmp_path / "a.tsv")] == texts

    def test_a_tab_inside_a_text(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.tsv", "text\tx\nfine\t0\na\tb\t1\n")
        assert "a.tsv, line 3: 3 fields, but the header names 2; a field of a TSV" in fault(path)


class TestJsonl:
    def test_objects_keep_their_types_and_lines(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.jsonl", '{"text": "a\\nb", "n": 1}\r\n\n{"text": null}\n')
        rows = list(read_rows([path]))
        assert [(row.line, dict(row.values)) for row in rows] == [
            (1, {"text": "a\nb", "n": 1}),
            (3, {"text": None}),
        ]

    @pytest.mark.parametrize(
        "line",
        ['{"x": 1, "x": 2}', '{"text": "cut', "{'text': 1}", "[1, 2]", '"text"', "[" * 100_000],
    )
    def test_a_broken_line_is_named(self, tmp_path: Path, line: str) -> None:
        path = written(tmp_path, "a.jsonl", '{"text": "a"}\n\n' + line + '\n{"text": "b"}\n')
        message = fault(path)
        assert "a.jsonl, line 3: " in message
        assert message.endswith("write one object on each line")

    def test_line_separators_of_unicode_are_characters(self, tmp_path: Path) -> None:
        texts = ["a\u2028b", "c\x85d"]
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
        assert [
            row["text"] for row in values(written(tmp_path, "a.jsonl", "\n".join(lines)))
        ] == texts


class TestBytes:
    @pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
    def test_a_byte_that_is_not_utf_8(self, tmp_path: Path, name: str) -> None:
        lines = ['{"text": "fine"}' if name == "a.jsonl" else "fine"] * 3000
        head = "\n".join(["가", *lines] if name != "a.jsonl" else lines) + "\n"
        path = written(tmp_path, name, head.encode() + b"bad \xb0\xa1\n")
        place = f"line {head.count(chr(10)) + 1}: byte {len(head.encode()) + 4} is not utf-8"
        assert place in fault(path)
        assert "cp949 is usual for Korean files" in fault(path)

    def test_other_encodings(self, tmp_path: Path) -> None:
        for encoding in ("cp949", "euc-kr", "utf-16"):
            path = written(tmp_path, "a.csv", "text,x\r\n안녕,1\r\n".encode(encoding))
            assert values(path, encoding=encoding) == [{"text": "안녕", "x": "1"}]

    def test_utf_16_is_recognised_as_such(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", "text\n안녕\n".encode("utf-16"))
        assert "a.csv is text in UTF-16; set ingest.encoding to utf-16" in fault(path)

    def test_utf_16_without_its_mark(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.csv", "text\nab\n".encode("utf-16-le"))
        assert "a.csv holds binary data, or UTF-16 without its byte order mark" in fault(path)
        assert "a.csv has no byte order mark of UTF-16" in fault(path, encoding="utf-16")

    def test_nul_bytes(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a.tsv", "text\tx\nfine\t0\nbro\0ken\t1\n")
        assert "a.tsv, line 3: a NUL byte; the file is damaged" in fault(path)

    @pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.csv.gz"])
    @pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
    def test_empty(self, tmp_path: Path, name: str, content: str) -> None:
        raw = content.encode()
        path = written(tmp_path, name, gzip.compress(raw) if name.endswith("gz") else raw)
        assert fault(path).endswith(f"{name} is empty; it must have a row for each text")

    def test_a_header_alone_is_empty_too(self, tmp_path: Path) -> None:
        assert "a.csv is empty" in fault(written(tmp_path, "a.csv", "text,label\n"))

    @pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl"])
    def test_gzip(self, name: str, tmp_path: Path) -> None:
        for raw in ('{"text": "가"}\n'.encode(), gzip.compress('{"text": "가"}\n'.encode())):
            assert values(written(tmp_path, name, raw)) == [{"text": "가"}]

    @pytest.mark.parametrize("name", ["a.csv.gz", "a.tsv"])
    def test_damaged_gzip(self, name: str, tmp_path: Path) -> None:
        raw = gzip.compress(b"text\n" + b"a\n" * 5000)
        assert f"{name} cannot be read (" in fault(written(tmp_path, name, raw[: len(raw) // 2]))

    def test_a_missing_file(self, tmp_path: Path) -> None:
        assert "none.csv cannot be read ([Errno 2]" in fault(tmp_path / "none.csv")


class TestParquet:
    def test_it_is_known_by_its_content(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.tsv")
        assert values(tmp_path / "a.tsv") == [{"text": "a"}]
        assert "a.tsv is Parquet, not a table of text" in fault(tmp_path / "a.tsv", kind="tsv")

    def test_rows_with_their_numbers(self, tmp_path: Path) -> None:
        table = pa.table({"text": ["a", None] * 3000, "labels": [[0, 1], [1, 0]] * 3000})
        pq.write_table(table, tmp_path / "a.parquet")
        rows = list(read_rows([tmp_path / "a.parquet"]))
        assert [row.line for row in rows] == list(range(1, 6001))
        assert dict(rows[-1].values) == {"text": None, "labels": [1, 0]}

    def test_damaged(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"text": ["a"] * 100}), tmp_path / "a.parquet")
        raw = (tmp_path / "a.parquet").read_bytes()
        written(tmp_path, "a.parquet", raw[:-20])
        assert "a.parquet cannot be read as Parquet" in fault(tmp_path / "a.parquet")


def test_several_files_in_order_each_with_its_own_lines(tmp_path: Path) -> None:
    files = [
        written(tmp_path, "a.tsv", "text\tx\na\t0\n"),
        written(tmp_path, "b.csv", "x,text\n0,b\n"),
    ]
    assert [(row.file.name, row.line, row.values["text"]) for row in read_rows(files)] == [
        ("a.tsv", 2, "a"),
        ("b.csv", 2, "b"),
    ]


def test_missing_columns_with_a_suggestion(tmp_path: Path) -> None:
    row = Row(tmp_path / "a.tsv", 2, {"문장": "a", "labels": "0"})
    require_columns(row, ["문장"], keys={})
    with pytest.raises(DataError) as caught:
        require_columns(row, ["text", "label"], keys={"text": "classify.ingest.columns.text"})
    first, second = str(caught.value).splitlines()
    assert first.endswith(
        "a.tsv has no column 'text'; choose one of labels, 문장 (name it in "
        "classify.ingest.columns.text)"
    )
    assert "did you mean 'labels'? (name it in the columns of ingest)" in second


def test_a_large_file_is_read_a_line_at_a_time(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "text\tx\n" + ("word " * 200 + "\t0\n") * 20_000)
    tracemalloc.start()
    count = sum(1 for _ in read_rows([path]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < path.stat().st_size / 10
