"""Odd inputs: strategies of hypothesis for values, files, damages, calls and command lines."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

TEXTS = (
    st.sampled_from(
        [
            "",
            " ",
            "auto",
            "none",
            "null",
            "NULL",
            "nan",
            "true",
            "0",
            "-1",
            "1e400",
            "1_000",
            "=1+1",
        ]
    )
    | st.sampled_from(
        ["a" * 3000, "\x00", "\ufeffa", "a\u200b", "가", "\u1100\u1161", "../..", "[x]", "a,b", '"']
    )
    | st.sampled_from(
        [
            "${oc.env:HOME}",
            "${globals:nope}",
            "%s",
            "{0}",
            "a.b",
            "\n",
            "2024-01-01",
            "1h",
            "s3://x",
        ]
    )
    | st.text(max_size=12)
)
NUMBERS = (
    st.sampled_from([0, 1, -1, 2**31, 2**63, 10**30, 0.0, -0.5, 1e308, float("inf"), float("nan")])
    | st.integers()
    | st.floats()
)
PLAIN = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
BYTES = (
    st.sampled_from(
        [
            b"",
            b"\n",
            b"\x00",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            b'"',
            b"{",
            b"[1, 2]",
            b"a: b: c",
            b"\xe9",
        ]
    )
    | st.sampled_from(
        [b"\t", b"\xb0\xa1", b"PAR1", b"\x1f\x8b", b"- 1\n", b"&a [*a]", b"!!python/object:os.x {}"]
    )
    | st.binary(max_size=8)
)
PLACES = st.sampled_from([number / 96 for number in range(97)])  # floats are mostly 0 and 1


class Damage(NamedTuple):
    """A change of a file at a place, as a share of its length."""

    kind: str
    place: float
    what: Any
    """Bytes, the value of a JSON file, or a column and a cell of a table."""

    def apply(self, content: bytes) -> bytes:
        if self.kind == "value":
            return _with_value(content, self.place, self.what)
        if self.kind == "cell":
            return _with_cell(content, self.place, *self.what)
        what, at = bytes(self.what), int(self.place * len(content))
        return {
            "cut": content[:at],
            "drop": content[:at] + content[at + 1 + len(what) :],
            "insert": content[:at] + what + content[at:],
            "overwrite": content[:at] + what + content[at + len(what) :],
            "replace": what,
        }[self.kind]


def _with_value(content: bytes, place: float, what: Any) -> bytes:
    """Set a value of a JSON file, or insert what it says into any other."""
    try:
        tree = json.loads(content)
    except ValueError:
        return Damage("insert", place, repr(what).encode()).apply(content)
    spots = list(_spots(tree))
    if not spots:
        return json.dumps(what).encode()
    parent, key = spots[min(int(place * len(spots)), len(spots) - 1)]
    parent[key] = what
    return json.dumps(tree).encode()


def _with_cell(content: bytes, place: float, column: int, cell: str) -> bytes:
    lines = content.split(b"\n")
    delimiter = b"\t" if b"\t" in lines[0] else b","
    row = min(int(place * len(lines)), len(lines) - 1)
    cells = lines[row].split(delimiter)
    cells[column % len(cells)] = cell.encode(errors="replace")
    return b"\n".join([*lines[:row], delimiter.join(cells), *lines[row + 1 :]])


def _spots(tree: Any) -> Any:
    """Yield every place of a value, as its parent and key."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if tree else ():
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _spots(tree[key])


DAMAGES = st.lists(
    st.builds(Damage, st.sampled_from(["cut", "drop"]), PLACES, BYTES)
    | st.builds(Damage, st.sampled_from(["insert", "overwrite", "replace"]), PLACES, BYTES)
    | st.builds(Damage, st.just("value"), PLACES, VALUES),
    min_size=1,
    max_size=2,
)


def damage(content: bytes, damages: Sequence[Damage]) -> bytes:
    for one in damages:
        content = one.apply(content)
    return content


# ---- tables --------------------------------------------------------------------------------------

CELLS = (
    st.sampled_from(
        ["1", "2", "song", "1600000000", "1600000000000", "2024-01-01", "2024-01-01T00:00:00+09:00"]
    )
    | st.sampled_from(
        ["0", "-5", "1.5", "1e9", "12:30", "١٢", "😀", "x" * 200_000, "a\tb", "a\nb", 'a"b', "NaT"]
    )
    | TEXTS.filter(lambda text: "\x00" not in text)
)
EDITED_CELLS = st.lists(
    st.builds(Damage, st.just("cell"), PLACES, st.tuples(st.integers(0, 3), CELLS)),
    min_size=1,
    max_size=4,
)
"""A few odd cells in a table that is good otherwise."""
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp949"])


class Table(NamedTuple):
    """A text file of rows."""

    columns: tuple[str, ...]
    rows: list[list[str]]
    delimiter: str
    newline: str
    encoding: str
    is_quoted: bool
    is_gzipped: bool

    def render(self) -> bytes:
        lines = [self.delimiter.join(map(self._field, row)) for row in (self.columns, *self.rows)]
        text = self.newline.join([*lines, ""])
        content = text.encode(self.encoding, errors="replace")
        return gzip.compress(content) if self.is_gzipped else content

    def _field(self, cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"' if self.is_quoted else cell


def tables(columns: Sequence[str]) -> st.SearchStrategy[Table]:
    """Draw files with most of these columns."""
    names = st.just(list(columns)) | st.permutations(columns) | st.lists(TEXTS, max_size=4)

    def filled(header: list[str]) -> st.SearchStrategy[Table]:
        good = [["u1", "i1", "1"], ["u1", "i2", "2"], ["u1", "i3", "3"], ["u2", "i1", "1"]]
        row = st.lists(CELLS, min_size=len(header), max_size=len(header)) | st.sampled_from(good)
        return st.builds(
            Table,
            columns=st.just(tuple(header)),
            rows=st.lists(row | st.lists(CELLS, max_size=5), max_size=10),
            delimiter=st.sampled_from([",", ",", "\t", ";", "|", " ", "::"]),
            newline=st.sampled_from(["\n", "\n", "\r\n", "\r"]),
            encoding=ENCODINGS,
            is_quoted=st.booleans(),
            is_gzipped=st.booleans(),
        )

    return names.flatmap(filled)


ARROW_TYPES = [
    "int8",
    "int64",
    "uint64",
    "float",
    "double",
    "string",
    "large_string",
    "binary",
    "bool",
    "date32",
    "timestamp[ns]",
    "timestamp[us,tz]",
    "duration[ns]",
    "time64[us]",
    "decimal",
    "null",
    "list",
    "struct",
    "dictionary",
]


class Columns(NamedTuple):
    """A Parquet file: the type of each column, and which cells are null."""

    types: dict[str, str]
    num_rows: int
    nulls: int

    def render(self) -> bytes:
        columns = {name: self._array(kind) for name, kind in self.types.items()}
        out = BytesIO()
        pq.write_table(pa.table(columns), out)
        return out.getvalue()

    def _array(self, kind: str) -> pa.Array:
        numbers = [None if n < self.nulls else n % 7 for n in range(self.num_rows)]
        if kind in ("string", "large_string", "binary"):
            return pa.array([None if n is None else f"i{n}" for n in numbers]).cast(kind)
        if kind == "null":
            return pa.nulls(self.num_rows)
        if kind == "list":
            return pa.array([None if n is None else [n] for n in numbers], pa.list_(pa.int64()))
        if kind == "struct":
            return pa.array([{"a": n} for n in numbers], pa.struct({"a": pa.int64()}))
        if kind == "dictionary":
            texts = [None if n is None else f"i{n}" for n in numbers]
            return pa.array(texts, pa.string()).dictionary_encode()
        integers = pa.array(numbers, pa.int64())
        if kind == "timestamp[us,tz]":
            return integers.cast(pa.timestamp("us", tz="Asia/Seoul"))
        if kind == "decimal":
            return integers.cast(pa.decimal128(38, 2))
        if kind == "date32":
            return integers.cast(pa.int32()).cast(pa.date32())
        return integers.cast(kind)


def parquets(columns: Sequence[str]) -> st.SearchStrategy[Columns]:
    kinds = st.sampled_from(ARROW_TYPES)
    types = st.fixed_dictionaries(dict.fromkeys(columns, kinds))
    return st.builds(Columns, types, st.integers(0, 40), st.integers(0, 3))


# ---- calls ---------------------------------------------------------------------------------------

ITEMS = [
    "'song 1'",
    "'song 2'",
    "'i2'",
    "''",
    "1",
    "2.5",
    "None",
    "True",
    "[]",
    "{}",
    "b'song 1'",
    "object()",
    "float('nan')",
    "np.int64(1)",
    "np.array(['song 1'])",
    "('song 1',)",
]
HISTORIES = [
    "['song 1', 'song 2']",
    "[]",
    "('song 3',)",
    "np.array(['song 1'])",
    "'song 1'",
    "None",
    "7",
    "pd.Series(['song 1'])",
    "{'song 1'}",
    "{'song 1': 2}",
    "(x for x in ['song 1'])",
] + [f"[{item}]" for item in ITEMS]
COUNTS = [
    "1",
    "3",
    "0",
    "-1",
    "10**30",
    "2.5",
    "True",
    "'3'",
    "None",
    "np.int64(2)",
    "[3]",
    "float('inf')",
    "float('nan')",
]
FLAGS = ["True", "False", "None", "'no'", "0", "2", "[]", "np.True_"]
SELECTIONS = st.sampled_from(HISTORIES)
ITERATORS = ["(h for h in [['song 1']])", "map(list, [['song 1']])", "zip(['song 1'])"]
FRAMES = [
    "np.array([['song 1']])",
    "pd.Series([['song 1']])",
    "pd.DataFrame({'a': ['song 1']})",
    "{}",
    "iter([])",
]
MANY = (
    st.lists(SELECTIONS, max_size=3).map(lambda some: f"[{', '.join(some)}]")
    | SELECTIONS.map(lambda one: f"{{'u': {one}}}")
    | st.sampled_from([*HISTORIES, *ITERATORS, *FRAMES])
)
PATHS = [
    "path",
    "str(path)",
    "None",
    "7",
    "''",
    "'nowhere'",
    "path / 'checkpoint.json'",
    "[]",
    "path.parent",
    "bytes(path)",
    "'\\0'",
    "'s3://nobody/x'",
]
WEIGHTS = ["'best'", "'last'", "'Best'", "'first'", "None", "1", "['best']", "True"]
DEVICES = ["None", "'cpu'", "'cuda:99'", "'gpu'", "0", "''", "[]", "'meta'", "'cpu:7'", "'mps'"]


def _draw_one(draw: st.DrawFn, drawn: Any) -> str:
    return str(draw(drawn if isinstance(drawn, st.SearchStrategy) else st.sampled_from(drawn)))


@st.composite
def calls(draw: st.DrawFn) -> str:
    """Draw a call of the Python API, as its source."""

    def given(**options: Any) -> str:
        chosen = {name: drawn for name, drawn in options.items() if not draw(st.integers(0, 2))}
        return "".join(f", {name}={_draw_one(draw, drawn)}" for name, drawn in chosen.items())

    limits: dict[str, Any] = {
        "k": COUNTS,
        "exclude": SELECTIONS,
        "include_only": SELECTIONS,
        "exclude_seen": FLAGS,
    }
    kind = draw(st.sampled_from(["load", *["recommend"] * 4, "nearest", "explain"]))
    if kind == "load":
        options = given(weights=WEIGHTS, device=DEVICES)
        return f"Recommender.load({draw(st.sampled_from(PATHS))}{options})"
    if kind == "nearest":
        return f"recommender.nearest({draw(st.sampled_from(ITEMS))}{given(k=COUNTS)})"
    if kind == "explain":
        return f"recommender.explain({draw(st.sampled_from(HISTORIES))}{given(**limits)})"
    return f"recommender.recommend({draw(MANY)}{given(**limits, batch_size=COUNTS)})"


# ---- command lines -------------------------------------------------------------------------------

NAMES = ["split", "trian", "recommend.split", "classify.ingest", "recommend", "x.y"]
WORDS = (st.sampled_from(NAMES) | TEXTS).filter(lambda text: "\x00" not in text)
OPTIONS = [
    "--pipelines",
    "--pipeline",
    "--tags",
    "--nodes",
    "--from-nodes",
    "--to-nodes",
    "--from-inputs",
    "--to-outputs",
    "--load-versions",
    "--runner",
    "--env",
    "--params",
    "--namespaces",
    "--conf-source",
    "--config",
]
COMMANDS = st.lists(st.tuples(st.sampled_from(OPTIONS), WORDS), min_size=1, max_size=2).map(
    lambda pairs: [word for pair in pairs for word in pair]
)
