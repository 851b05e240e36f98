"""Parts from the nodes of a real cluster: all of them, once, in order, whoever dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import toy_parts
from toy_parts import Act, ClosedOpener, ReadingOpener, ToyOpener
from toy_works import is_alive, wait_until

from seqtune.core.errors import ConfigurationError, DataError, SeqtuneError
from seqtune.core.execution import PartFactory
from seqtune.workers.cluster import parallel_map
from seqtune.workers.cluster.connection import connect
from seqtune.workers.cluster.file_shipping import ShippedFiles, node_folder
from seqtune.workers.cluster.parallel_map import map_over_cluster, parallel_map_over
from seqtune.workers.cluster.probe import nodes_alive
from toy_cluster import PATIENCE, ToyCluster

pytestmark = pytest.mark.slow


@contextmanager
def spreading(
    cluster: ToyCluster,
    shipped: ShippedFiles,
    opener: PartFactory[Any],
    num_parts: int,
    *,
    num_workers: int = 2,
    **config: Any,
) -> Iterator[Any]:
    with connect(cluster.config(**config), shipped=shipped) as connection:
        parts: Any = map_over_cluster(
            opener, num_parts, connection=connection, shipped=shipped, num_workers=num_workers
        )
        with closing(parts):
            yield parts


def numbers(
    cluster: ToyCluster, folder: Path, act: Act, num_parts: int, **options: Any
) -> list[int]:
    """Those of all parts, as they arrive."""
    shipped = ShippedFiles(reads=(), scratch=folder, copy=False)
    with spreading(cluster, shipped, ToyOpener(folder, act), num_parts, **options) as parts:
        return [number for number, _ in parts]


def pids(folder: Path, what: str) -> list[int]:
    return [int(path.name.rsplit("-", 1)[1]) for path in sorted(folder.glob(f"{what}-*"))]


def test_all_parts_come_in_order_from_processes_that_open_once(
    cluster: ToyCluster, tmp_path: Path
) -> None:
    assert numbers(cluster, tmp_path, toy_parts.slowly, 12) == list(range(12))
    assert len(pids(tmp_path, "made")) == 12
    assert sorted(pids(tmp_path, "opened")) == sorted(set(pids(tmp_path, "made")))
    assert 1 <= len(pids(tmp_path, "opened")) <= 2


def test_no_parts_need_no_process(cluster: ToyCluster, tmp_path: Path) -> None:
    assert numbers(cluster, tmp_path, toy_parts.at_once, 0) == []


def test_parts_are_not_made_long_before_they_are_taken(
    cluster: ToyCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel_map, "BYTES_AHEAD", 4 * 2**20)
    toy = ToyOpener(tmp_path, toy_parts.at_once, size=2**20)
    shipped = ShippedFiles(reads=(), scratch=tmp_path, copy=False)
    with spreading(cluster, shipped, toy, 60) as parts:
        assert next(parts)[0] == 0
        resolve_auto(tmp_path)
        assert len(pids(tmp_path, "made")) < 30
        assert [number for number, _ in parts] == list(range(1, 60))


def resolve_auto(folder: Path) -> None:
    """Wait until nobody makes anything any more."""
    seen = -1
    while seen != (seen := len(pids(folder, "made"))):
        time.sleep(3.0)


def test_what_a_killed_process_had_in_hand_is_made_again(
    cluster: ToyCluster, tmp_path: Path
) -> None:
    assert numbers(cluster, tmp_path, toy_parts.die_once, 8) == list(range(8))
    assert (tmp_path / "died").exists()


def test_a_part_that_kills_every_process_is_an_error(cluster: ToyCluster, tmp_path: Path) -> None:
    with pytest.raises(SeqtuneError, match="9 processes died one after another"):
        numbers(cluster, tmp_path, toy_parts.always_die, 4)


def test_parts_that_lay_on_a_lost_node_are_made_again(cluster: ToyCluster, tmp_path: Path) -> None:
    toy = ToyOpener(tmp_path, toy_parts.slowly, size=2**20)
    shipped = ShippedFiles(reads=(), scratch=tmp_path, copy=False)
    try:
        with spreading(cluster, shipped, toy, 40, num_workers=4) as parts:
            assert [next(parts)[0], next(parts)[0]] == [0, 1]
            cluster.kill_node(cluster.nodes[0])
            assert [number for number, _ in parts] == list(range(2, 40))
    finally:
        cluster.mend()
        wait_until(lambda: len(nodes_alive()) == 3, seconds=PATIENCE)


def test_errors_of_work_are_ours_and_come_without_a_page_of_ray(
    cluster: ToyCluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"^new\.csv, line 3: 2 fields, but the header names 1$"):
        numbers(cluster, tmp_path, toy_parts.refuse, 40)
    assert len(pids(tmp_path, "made")) < 20
    closed: PartFactory[int] = ClosedOpener(tmp_path)
    shipped = ShippedFiles(reads=(), scratch=tmp_path, copy=False)
    with (
        pytest.raises(DataError, match="is empty; it must hold a row for each text"),
        spreading(cluster, shipped, closed, 3) as parts,
    ):
        next(parts)
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err
    assert "ray.data" not in said.out + said.err


def test_other_errors_are_told_with_their_traceback(cluster: ToyCluster, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)toy_parts.*ZeroDivisionError: a fault of ours"):
        numbers(cluster, tmp_path, toy_parts.fail, 4)


def test_whoever_closes_early_ends_the_processes(cluster: ToyCluster, tmp_path: Path) -> None:
    toy, shipped = ToyOpener(tmp_path, toy_parts.slowly), ShippedFiles((), tmp_path, copy=False)
    with connect(cluster.config(), shipped=shipped) as connection:
        parts: Any = map_over_cluster(
            toy, 1000, connection=connection, shipped=shipped, num_workers=2
        )
        assert next(parts)[0] == 0
        parts.close()
        wait_until(lambda: not any(map(is_alive, pids(tmp_path, "opened"))))
    assert len(pids(tmp_path, "made")) < 100


def test_no_free_place_is_an_error(cluster: ToyCluster, tmp_path: Path) -> None:
    import ray

    shipped = ShippedFiles(reads=(), scratch=tmp_path, copy=False)
    with connect(cluster.config(), shipped=shipped) as connection:
        holds = ray.remote(num_cpus=2)(Holds)
        holders = [holds.remote() for _ in range(connection.num_places() // 2)]
        ray.get([holder.here.remote() for holder in holders], timeout=PATIENCE)
        with (
            pytest.raises(ConfigurationError, match="no process found a place on the cluster"),
            spreading(
                cluster, shipped, ToyOpener(tmp_path, toy_parts.at_once), 3, wait_seconds=2.0
            ) as parts,
        ):
            next(parts)


class Holds:
    """Takes a place and stays."""

    def here(self) -> None: ...


def test_folders_are_shipped_where_nodes_do_not_share_them(
    cluster: ToyCluster, tmp_path: Path
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "file.txt").write_text("one\ntwo\n", encoding="utf-8")
    shipped = ShippedFiles(reads=(tmp_path / "texts",), scratch=tmp_path, copy=True)
    opener = ReadingOpener(tmp_path / "texts" / "file.txt")
    with spreading(cluster, shipped, opener, 2) as parts:
        (one, place), (two, _) = parts
    assert (one, two) == ("one", "two")
    assert place.is_relative_to(node_folder())


def test_a_spread_takes_its_processes_from_the_configuration(
    cluster: ToyCluster, tmp_path: Path
) -> None:
    toy, shipped = ToyOpener(tmp_path, toy_parts.slowly), ShippedFiles((), tmp_path, copy=False)
    by_one = parallel_map_over(cluster.config(prediction_workers=1), shipped)
    assert [number for number, _ in by_one(toy, 4)] == [0, 1, 2, 3]
    assert len(pids(tmp_path, "opened")) == 1


def test_more_processes_than_there_is_room_for_are_not_waited_for(
    cluster: ToyCluster, tmp_path: Path
) -> None:
    assert numbers(cluster, tmp_path, toy_parts.slowly, 20, num_workers=20) == list(range(20))
