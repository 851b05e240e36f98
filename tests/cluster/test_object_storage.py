"""Raw files and artifacts in object storage: a real S3 server on loopback, and whole runs on it."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io.core import DatasetError, Version

from seqtune.core.errors import (
    ArtifactError,
    ConfigurationError,
    DataError,
    StorageError,
)
from seqtune.datasets import Artifact, Document, RawFiles, YAMLDocument
from seqtune.datasets.progress import Progress
from seqtune.datasets.remote_path import RemotePath, path_of
from seqtune.tasks.recommend.ingest import ingest
from seqtune.tasks.recommend.params import RecommendConfig

sys.path.insert(0, str(Path(__file__).parents[1]))

from toy_s3 import SECRET, ToyS3, missing, running

Kedro = Callable[..., "subprocess.CompletedProcess[str]"]


V2025 = "2025-01-01T00.00.00.000Z"
V2026 = "2026-01-01T00.00.00.000Z"


@pytest.fixture(scope="module")
def s3() -> Iterator[ToyS3]:
    if reason := missing():
        pytest.skip(reason)
    with running() as server:
        yield server


@pytest.fixture
def bucket(s3: ToyS3) -> str:
    return s3.new_bucket()


@pytest.fixture
def raw(s3: ToyS3, tmp_path: Path) -> Callable[..., RawFiles]:
    def make(filepath: str | list[str], **more: Any) -> RawFiles:
        ours = {"credentials": s3.credentials, "cache": str(tmp_path / "cache")}
        return RawFiles(filepath=filepath, **{**ours, **more})

    return make


@pytest.fixture
def artifact(s3: ToyS3, bucket: str, tmp_path: Path) -> Callable[..., Artifact]:
    def make(*, load: str | None = None, save: str | None = None, **more: Any) -> Artifact:
        ours: dict[str, Any] = {
            "version": Version(load, save),
            "cache": str(tmp_path / "cache"),
            "made_by": "split",
        }
        return Artifact(
            filepath=f"s3://{bucket}/data/folder", credentials=s3.credentials, **{**ours, **more}
        )

    return make


def made(folder: Path, text: str = "content") -> Path:
    """A folder that a node has finished in scratch."""
    (folder / "made" / "deep").mkdir(parents=True)
    (folder / "made" / "a.txt").write_text(text)
    (folder / "made" / "deep" / "b.txt").write_text("b")
    return folder / "made"


def fault(load: Callable[[], Any]) -> Exception:
    """The error of ours behind Kedro's; no secret is in any of them."""
    with pytest.raises(DatasetError) as caught:
        load()
    assert SECRET not in str(caught.value)
    assert isinstance(caught.value.__cause__, Exception)
    return caught.value.__cause__


# ---- raw files ---------------------------------------------------------------------------------


def test_files_patterns_and_lists_of_both_kinds(
    s3: ToyS3, bucket: str, raw: Callable[..., RawFiles], tmp_path: Path
) -> None:
    for name in ("b.csv", "a.csv", "part[1].csv"):
        s3.files.pipe(f"{bucket}/log/{name}", name.encode())
    (tmp_path / "here.csv").write_text("here")
    dataset = raw(
        [f"s3://{bucket}/log/?.csv", f"s3://{bucket}/log/part[1].csv", f"{tmp_path}/*.csv"]
    )
    assert dataset.exists()
    assert [path.read_text() for path in dataset.load()] == [
        "a.csv",
        "b.csv",
        "part[1].csv",
        "here",
    ]


def test_a_folder_gives_its_parts_in_order_and_nothing_that_stands_beside_them(
    s3: ToyS3, bucket: str, raw: Callable[..., RawFiles]
) -> None:
    for day in ("date=2024-01-02", "date=2024-01-01"):
        s3.files.pipe(f"{bucket}/log/{day}/part-0.parquet", b"x")
    for name in ("_SUCCESS", "_temporary/part-0.parquet", ".part-0.parquet.crc", "notes.txt"):
        s3.files.pipe(f"{bucket}/log/{name}", b"x")
    for address in (f"s3://{bucket}/log", f"s3://{bucket}/log/", f"s3://{bucket}/log/date=*"):
        found = [path.as_posix().partition("/log/")[2] for path in raw(address).load()]
        assert found == ["date=2024-01-01/part-0.parquet", "date=2024-01-02/part-0.parquet"]


def test_a_file_is_fetched_once_until_it_is_another(
    s3: ToyS3,
    bucket: str,
    raw: Callable[..., RawFiles],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.INFO, logger="seqtune.datasets.progress")
    address = f"s3://{bucket}/a.csv"
    s3.files.pipe(address, b"old")
    assert [path.read_text() for path in raw(address).load()] == ["old"]
    assert [path.read_text() for path in raw(address).load()] == ["old"]
    assert [record.getMessage() for record in caplog.records] == [
        f"fetching {address}: 1 file, 3 bytes"
    ]
    s3.files.pipe(address, b"new")
    assert [path.read_text() for path in raw(address).load()] == ["new"]
    assert not list((tmp_path / "cache").glob(".partial-*"))


def test_what_a_killed_process_left_behind_goes_and_complete_files_stay(
    s3: ToyS3, bucket: str, raw: Callable[..., RawFiles], tmp_path: Path
) -> None:
    for name in ("a.csv", "b.csv"):
        s3.files.pipe(f"{bucket}/{name}", b"x")
    (first,) = raw(f"s3://{bucket}/a.csv").load()
    stamp = first.stat().st_mtime_ns
    left = tmp_path / "cache" / ".partial-killed"
    left.mkdir()
    (left / "half.csv").write_text("ha")
    assert len(raw(f"s3://{bucket}/*.csv").load()) == 2
    assert first.stat().st_mtime_ns == stamp
    assert not left.exists()


def test_progress_is_told_of_what_takes_long(
    s3: ToyS3,
    bucket: str,
    raw: Callable[..., RawFiles],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, logger="seqtune.datasets.progress")
    monkeypatch.setattr("seqtune.datasets.progress.EVERY_SECONDS", 0.0)
    for name in ("a.csv", "b.csv"):
        s3.files.pipe(f"{bucket}/{name}", b"x" * 512)
    raw(f"s3://{bucket}/*.csv").load()
    said = [record.getMessage() for record in caplog.records]
    assert said[0].endswith("2 files, 1.0 KiB")
    assert said[-1].endswith("1.0 KiB of 1.0 KiB")


def test_a_missing_file_is_explained_and_may_be_optional(
    bucket: str, raw: Callable[..., RawFiles]
) -> None:
    address = f"s3://{bucket}/none.csv"
    error = fault(raw(address, looks_like="a CSV").load)
    assert isinstance(error, DataError)
    assert f"there is no file {address}" in str(error)
    assert not raw(address).exists()
    for pattern in (address, f"s3://{bucket}/none-*.csv"):
        assert raw(pattern, optional=True).load() == ()


def test_a_disk_that_is_too_small_is_named_before_anything_is_fetched(
    s3: ToyS3,
    bucket: str,
    raw: Callable[..., RawFiles],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    s3.files.pipe(f"{bucket}/a.csv", b"x" * 2048)
    usage = shutil.disk_usage(tmp_path)._replace(free=1024)
    monkeypatch.setattr("seqtune.datasets.cache.shutil.disk_usage", lambda _: usage)
    error = fault(raw(f"s3://{bucket}/a.csv").load)
    assert isinstance(error, StorageError)
    assert "2.0 KiB are needed, 1.0 KiB are free" in str(error)
    assert "`scratch` in conf/local/globals.yml" in str(error)


# ---- what goes wrong ---------------------------------------------------------------------------


def test_a_missing_bucket_is_an_error_even_of_an_optional_file(
    raw: Callable[..., RawFiles],
) -> None:
    error = fault(raw("s3://no-such-bucket/a.csv", optional=True).load)
    assert isinstance(error, StorageError)
    assert "there is no bucket 'no-such-bucket'" in str(error)


def test_a_wrong_key(bucket: str, raw: Callable[..., RawFiles]) -> None:
    with running(trusting=False) as strict:
        error = fault(raw(f"s3://{bucket}/a.csv", credentials=strict.credentials).load)
    assert isinstance(error, StorageError)
    assert "access is refused" in str(error)
    assert "conf/local/credentials.yml" in str(error)


def test_nobody_is_there(bucket: str, s3: ToyS3, raw: Callable[..., RawFiles]) -> None:
    nobody = {**s3.credentials, "client_kwargs": {"endpoint_url": "http://127.0.0.1:1"}}
    error = fault(raw(f"s3://{bucket}/a.csv", credentials=nobody).load)
    assert isinstance(error, StorageError)
    assert "http://127.0.0.1:1" in str(error)


def test_somebody_is_there_who_never_answers(
    bucket: str, s3: ToyS3, raw: Callable[..., RawFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqtune.datasets.object_storage.ANSWER_SECONDS", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        mute = {**s3.credentials, "client_kwargs": {"endpoint_url": address}}
        error = fault(raw(f"s3://{bucket}/a.csv", credentials=mute).load)
        artifact = Artifact(
            filepath=f"s3://{bucket}/x", credentials=mute, cache="x", version=Version(None, None)
        )
        again = fault(artifact.load)
    for each in (error, again):
        assert isinstance(each, StorageError)
        assert "no answer within 1 seconds" in str(each)


@pytest.mark.skipif(find_spec("gcsfs") is not None, reason="gcsfs is installed")
def test_a_backend_that_is_not_installed(raw: Callable[..., RawFiles]) -> None:
    error = fault(raw("gs://bucket/a.csv", credentials=None).load)
    assert isinstance(error, ConfigurationError)
    assert "pip install 'seqtune[cluster]'" in str(error)


def test_arguments_that_the_backend_does_not_take(
    bucket: str, raw: Callable[..., RawFiles]
) -> None:
    error = fault(raw(f"s3://{bucket}/a.csv", fs_args={"nonsense": 1}).load)
    assert isinstance(error, ConfigurationError)
    assert "'nonsense'" in str(error)


def test_a_secret_in_what_a_backend_says_is_hidden(
    bucket: str, s3: ToyS3, raw: Callable[..., RawFiles]
) -> None:
    told = {**s3.credentials, "client_kwargs": {"endpoint_url": f"http://me:{SECRET}@127.0.0.1:1"}}
    dataset = raw(f"s3://{bucket}/a.csv", credentials=told)
    assert SECRET not in str(fault(dataset.load)) + repr(dataset)


# ---- artifacts ---------------------------------------------------------------------------------


def test_a_version_goes_there_and_comes_back_once(
    artifact: Callable[..., Artifact], tmp_path: Path
) -> None:
    artifact(save=V2026).save(made(tmp_path / "scratch"))
    assert not (tmp_path / "scratch").exists()
    shutil.rmtree(tmp_path / "cache")
    folder = artifact().load()
    assert (folder / "a.txt").read_text() == "content"
    assert (folder / "deep" / "b.txt").read_text() == "b"
    assert (folder.name, folder.parent.name) == ("folder", V2026)
    (folder / "a.txt").write_text("touched")
    assert (artifact(load=V2026).load() / "a.txt").read_text() == "touched"


def test_whoever_made_it_need_not_fetch_it(
    artifact: Callable[..., Artifact], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="seqtune.datasets.progress")
    artifact(save=V2026).save(made(tmp_path / "scratch"))
    assert (artifact().load() / "a.txt").read_text() == "content"
    assert [record.getMessage().split()[0] for record in caplog.records] == ["sending"]


def test_versions_stand_side_by_side_and_the_newest_is_loaded(
    artifact: Callable[..., Artifact], tmp_path: Path
) -> None:
    for version in (V2025, V2026):
        artifact(save=version).save(made(tmp_path / version, version))
    assert (artifact().load() / "a.txt").read_text() == V2026
    assert (artifact(load=V2025).load() / "a.txt").read_text() == V2025
    found = artifact().load().parents[1].glob("*/folder/a.txt")
    assert sorted(path.read_text() for path in found) == [V2025, V2026]
    with pytest.raises(DatasetError, match="must not exist"):
        artifact(save=V2026).save(made(tmp_path / "again"))


def test_an_upload_that_was_cut_off_is_no_version(
    artifact: Callable[..., Artifact], s3: ToyS3, bucket: str, tmp_path: Path
) -> None:
    artifact(save=V2025).save(made(tmp_path / "scratch"))
    s3.files.pipe(f"{bucket}/data/folder/{V2026}/folder/a.txt", b"half")
    assert artifact().load().parent.name == V2025
    assert isinstance(fault(artifact(load=V2026).load), ArtifactError)


def test_without_versions_the_new_replaces_the_old(
    artifact: Callable[..., Artifact], tmp_path: Path
) -> None:
    for content in ("old", "new"):
        artifact(version=None).save(made(tmp_path / "scratch", content))
        assert (artifact(version=None).load() / "a.txt").read_text() == content


def test_a_single_file(s3: ToyS3, bucket: str, tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text("1")
    dataset = Artifact(
        filepath=f"s3://{bucket}/x.csv",
        credentials=s3.credentials,
        cache=str(tmp_path / "cache"),
        version=Version(None, V2026),
    )
    dataset.save(file)
    assert dataset.load().name == "x.csv"
    assert dataset.preview()["columns"] == ["1"]


def test_an_absent_one_names_the_pipeline_that_makes_it(artifact: Callable[..., Artifact]) -> None:
    error = fault(artifact().load)
    assert isinstance(error, ArtifactError)
    assert "there is no s3://" in str(error)
    assert "run `kedro run --pipelines split` first" in str(error)
    assert artifact(optional=True).load() is None


def test_a_version_of_which_a_file_is_gone_is_damaged(
    artifact: Callable[..., Artifact], s3: ToyS3, bucket: str, tmp_path: Path
) -> None:
    artifact(save=V2026).save(made(tmp_path / "scratch"))
    shutil.rmtree(tmp_path / "cache")
    s3.files.rm(f"{bucket}/data/folder/{V2026}/folder/deep/b.txt")
    error = fault(artifact().load)
    assert isinstance(error, ArtifactError)
    assert "folder/deep/b.txt is gone" in str(error)
    assert not list((tmp_path / "cache").glob("*/*"))


def test_it_can_be_sent_to_another_process_and_shows_no_secret(
    artifact: Callable[..., Artifact], tmp_path: Path
) -> None:
    artifact(save=V2026).save(made(tmp_path / "scratch"))
    dataset = pickle.loads(pickle.dumps(artifact()))
    assert (dataset.load() / "a.txt").read_text() == "content"
    assert SECRET not in repr(dataset) + repr(dataset._place)


def test_documents_live_there_too(s3: ToyS3, bucket: str) -> None:
    json = partial(Document, format="json.JSONDataset")
    refused = json(filepath=f"s3://{bucket}/no.json", credentials=s3.credentials)
    with pytest.raises(DatasetError):
        refused.save({"a": object()})
    assert not refused.exists()
    for kind, name in ((json, "x.json"), (YAMLDocument, "x.yml")):
        address = f"s3://{bucket}/{name}"

        def dataset(kind: Any = kind, address: str = address) -> Any:
            version = Version(None, V2026)
            own = {"optional": True, "credentials": s3.credentials}
            return kind(filepath=address, version=version, **own)

        assert dataset().load() is None
        dataset().save({"두": [1, 2]})
        assert dataset().load() == {"두": [1, 2]}
        assert "두" in str(dataset().preview().encode().decode("unicode_escape"))
        s3.files.pipe(f"{bucket}/{name}/{V2026}/{name}", b"")
        assert "is cut off or damaged" in str(fault(dataset().load))


# ---- paths -------------------------------------------------------------------------------------


def test_a_path_finds_versions_that_are_complete(
    artifact: Callable[..., Artifact], s3: ToyS3, bucket: str, tmp_path: Path
) -> None:
    for version in (V2025, V2026):
        artifact(save=version).save(made(tmp_path / version, version))
    s3.files.pipe(f"{bucket}/data/folder/2027/folder/a.txt", b"half")
    entry = {"filepath": f"s3://{bucket}/data/folder", "credentials": s3.credentials}
    path = path_of({**entry, "type": "seqtune.datasets.Artifact"})
    found = list(path.glob(f"*/{path.name}"))
    assert [each.parent.name for each in found] == [V2025, V2026]
    assert [(each / "a.txt").read_text() for each in found] == [V2025, V2026]
    assert (found[0].exists(), found[0].is_dir(), found[0].is_file()) == (True, True, False)
    assert not (path / "2027" / "folder").exists()
    assert str(found[0]) == f"s3://{bucket}/data/folder/{V2025}/folder"
    assert SECRET not in repr(path)


def test_a_path_of_a_file_is_read_written_and_fetched(
    s3: ToyS3, bucket: str, tmp_path: Path
) -> None:
    entry = {"filepath": f"s3://{bucket}/a[1]/x.json", "credentials": s3.credentials}
    path = path_of({**entry, "type": "seqtune.datasets.Document"})
    assert isinstance(path, RemotePath)
    assert not path.exists()
    path.write_text("한")
    assert (path.exists(), path.is_file(), path.read_text()) == (True, True, "한")
    assert [each.name for each in path.parent.glob(f"*{path.suffix}")] == ["x.json"]
    with path.open("rb") as file:
        assert file.read().decode() == "한"
    path.fetch(tmp_path / "here" / "x.json", Progress("fetching", [3]), num_bytes=3)
    assert (tmp_path / "here" / "x.json").read_text("utf-8") == "한"


def test_a_path_of_this_machine_is_an_ordinary_one_and_others_are_left_alone() -> None:
    assert path_of({"filepath": "data/x.json"}) == Path("data/x.json")
    assert path_of({"type": "MemoryDataset"}) is None
    assert path_of({"filepath": ["a.csv", "b.csv"]}) is None
    assert path_of({"filepath": "https://example.org/x.json"}) is None


# ---- whole runs --------------------------------------------------------------------------------


def parts(s3: ToyS3, folder: str) -> None:
    """A log of Parquet files by day; the day is in the paths alone."""
    for day in range(1, 9):
        rows = {"user": list(range(1, 30)), "item": [10 * day + user % 3 for user in range(1, 30)]}
        with s3.files.open(f"{folder}/date=2024-01-0{day}/part-0.parquet", "wb") as file:
            pq.write_table(pa.table(rows), file)


def test_a_partitioned_log_is_ingested(
    s3: ToyS3, bucket: str, raw: Callable[..., RawFiles], tmp_path: Path
) -> None:
    parts(s3, f"{bucket}/log")
    config = RecommendConfig.model_validate({"ingest": {"columns": {"time": "date"}}})
    report = ingest({"interactions": raw(f"s3://{bucket}/log").load()}, config, out=tmp_path)
    assert report["rows_kept"] == 29 * 8
    assert report["time"]["last"] == "2024-01-08T00:00:00+00:00"


def test_all_data_of_a_project_in_a_bucket(
    s3: ToyS3, bucket: str, project: Path, kedro_with: Callable[..., Kedro]
) -> None:
    parts(s3, f"{bucket}/seqtune/01_raw/recommend/interactions.csv")
    local = project / "conf" / "local"
    (local / "globals.yml").write_text(
        f"data: s3://{bucket}/seqtune\nscratch: scratch\ntracking: tracking\n"
    )
    (local / "parameters_recommend.yml").write_text(
        "recommend: {ingest: {columns: {time: date}}}\n"
    )
    kedro = kedro_with(project, tracking="on", **s3.environment)
    reports = f"{bucket}/seqtune/08_reporting"
    for number, pipeline in enumerate(("ingest", "split"), start=1):
        result = kedro("run", "--pipelines", pipeline)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "could not" not in result.stdout + result.stderr
        assert SECRET not in result.stdout + result.stderr
        assert f" s3://{reports}/recommend/{pipeline}_report.json/" in result.stdout
        shutil.rmtree(project / "scratch")  # another machine goes on

        pages = sorted(s3.files.glob(f"{reports}/recommend/run_report.html/*/run_report.html"))
        assert len(pages) == number
        index = s3.files.cat_file(f"{reports}/index.html").decode()
        links = [page.removeprefix(f"{reports}/") for page in pages]
        assert all(link in index for link in links)
        said = json.loads(s3.files.cat_file(f"{pages[-1].rpartition('/')[0]}/entry.json"))
        assert f"{pipeline}_report" in said["made"]
    tracked = {path.name for path in (project / "tracking").rglob("*.json")}
    assert {"ingest_report.json", "split_report.json"} <= tracked
    found = s3.files.glob(f"{bucket}/seqtune/*/recommend/*")
    there = {path.rpartition("/")[2] for path in found}
    assert {"interactions", "ingest_report.json", "split", "split_report.json"} <= there
    assert not (project / "data").exists()
    assert not (project / "s3:").exists()
