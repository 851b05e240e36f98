"""The server: answers, refusals, batches, and another version while it runs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from seqtune_serve.app import create_app
from seqtune_serve.exports import read_export
from seqtune_serve.models import Model, open_model
from seqtune_serve.settings import ServeSettings
from seqtune_serve.swap import load

from .toy_exports import TABLE, VERSION, write_export

QUICK = {"poll_s": 0.01}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    write_export(tmp_path / "export")
    return tmp_path / "export"


@pytest.fixture
def client(export: Path) -> Iterator[TestClient]:
    limits = {"max_k": 5, "max_history": 4, "max_body_kib": 1}
    with client_of(ServeSettings(export, **limits)) as client:
        yield client


def client_of(settings: ServeSettings) -> TestClient:
    return TestClient(create_app(load(settings.folder, settings), settings))


class SlowModel:
    """Answers when it is let to, and remembers its batches."""

    def __init__(self, folder: Path) -> None:
        self.export = read_export(folder)
        self.go_on = threading.Event()
        self.batches: list[int] = []

    def example(self) -> Any: ...

    def answer(self, requests: Any) -> list[dict[str, Any]]:
        self.batches.append(len(requests))
        assert self.go_on.wait(10)
        return [{"items": [], "unknown": []} for _ in requests]


@asynccontextmanager
async def running(model: Model, settings: ServeSettings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(model, settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def recommend(client: httpx.AsyncClient) -> Coroutine[Any, Any, httpx.Response]:
    return client.post("/recommend", json={"history": ["a"]})


def test_an_answer_names_its_version(client: TestClient) -> None:
    answer = client.post("/recommend", json={"history": ["a", "?"], "k": 1}).json()
    assert answer == {
        "items": [{"item": "d", "score": 3.0}],
        "source": "model",
        "unknown": ["?"],
        "version": VERSION.format(1),
    }
    health = client.get("/health").json()
    assert health["version"] == VERSION.format(1)
    assert health["fingerprint"] == "print1"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"history": [1.5]}, 422, "history.0: an item id is text or a whole number"),
        ({"history": ["a"], "k": 0}, 422, "k: Input should be greater than or equal to 1"),
        ({"history": ["a"], "k": 6}, 422, "k is 6; this server takes at most 5"),
        ({"history": ["a"] * 5}, 422, "the length of history is 5; this server takes at most 4"),
        ({"history": [], "exclude": ["a"] * 5}, 422, "the length of exclude is 5"),
        ({"histories": ["a"]}, 422, "histories: Extra inputs are not permitted"),
        ({"history": ["a" * 2000]}, 413, "the body is larger than 1 KiB, which this server takes"),
    ],
)
def test_requests_beyond_what_is_allowed_are_refused(
    client: TestClient, body: dict[str, Any], status: int, message: str
) -> None:
    refused = client.post("/recommend", json=body)
    assert refused.status_code == status
    assert message in refused.json()["error"]


def test_a_body_of_unknown_length_is_bounded_too(client: TestClient) -> None:
    refused = client.post("/recommend", content=iter([b"[" * 900, b"[" * 900]))
    assert (refused.status_code, "larger than 1 KiB" in refused.json()["error"]) == (413, True)


def test_what_is_no_json_and_no_page_is_said(client: TestClient) -> None:
    broken = client.post("/recommend", content="{", headers={"content-type": "application/json"})
    assert (broken.status_code, broken.json()["error"][:20]) == (422, "the body is not JSON")
    other = client.post("/classify", json={"text": "a"})
    assert other.status_code == 404
    assert other.json()["error"].startswith("this server answers /recommend")
    assert client.get("/nothing").status_code == 404


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (rb'{"history": ["a", "\ud800"]}', "history.1: an item id is text or a whole number"),
        (rb'{"history": [], "exclude": ["\udfff"]}', "exclude.0: an item id is text"),
        (b'{"history": [1' + b"0" * 900 + b"]}", None),
        (rb'{"\ud800": 1}', "unable to parse raw data as a unicode string"),
    ],
)
def test_half_a_character_is_no_id_and_any_whole_number_is(
    client: TestClient, body: bytes, message: str | None
) -> None:
    answer = client.post("/recommend", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == (422 if message else 200)
    assert (message or "popular") in answer.text


def test_a_token_is_asked_for_everywhere_but_in_health(export: Path) -> None:
    with client_of(ServeSettings(export, token="secret")) as client:  # noqa: S106
        refused = client.post("/recommend", json={"history": ["a"]})
        wrong = client.get("/metrics", headers={"Authorization": "Bearer secrets"})
        right = client.get("/metrics", headers={"Authorization": "Bearer secret"})
        assert (refused.status_code, wrong.status_code, right.status_code) == (401, 401, 200)
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert client.get("/health").status_code == 200


def test_metrics_count_requests_batches_and_unknown_items(client: TestClient) -> None:
    client.post("/recommend", json={"history": ["a", "?"]})
    client.get("/wp-admin")
    text = client.get("/metrics").text
    assert 'seqtune_request_seconds_count{path="/recommend",status="200"} 1.0' in text
    assert 'seqtune_request_seconds_count{path="other",status="404"} 1.0' in text
    assert "seqtune_unknown_items_total 1.0" in text
    assert f'seqtune_served_version{{version="{VERSION.format(1)}"}} 1.0' in text
    assert "process_resident_memory_bytes" in text


def test_what_waits_is_answered_together_and_more_is_turned_away(export: Path) -> None:
    model = SlowModel(export)

    async def scenario() -> None:
        settings = ServeSettings(export, max_waiting=3, max_batch=2)
        async with running(model, settings) as client:
            first = asyncio.create_task(recommend(client))
            await until(lambda: model.batches == [1])
            waiting = [asyncio.create_task(recommend(client)) for _ in range(4)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            (refused,) = (task.result() for task in waiting if task.done())
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
            model.go_on.set()
            statuses = [(await task).status_code for task in [first, *waiting]]
            assert sorted(statuses) == [200, 200, 200, 200, 429]
            assert model.batches == [1, 2, 1]

    asyncio.run(scenario())


def test_a_batch_waits_for_more_as_long_as_it_is_told(export: Path) -> None:
    model = SlowModel(export)
    model.go_on.set()

    async def scenario() -> None:
        settings = ServeSettings(export, batch_wait_ms=2000.0, max_batch=3)
        async with running(model, settings) as client:
            await asyncio.gather(*(recommend(client) for _ in range(3)))
        assert model.batches == [3]

    asyncio.run(scenario())


def test_a_request_ends_at_its_time_limit_and_is_not_computed_later(export: Path) -> None:
    model = SlowModel(export)

    async def scenario() -> None:
        async with running(model, ServeSettings(export, timeout_s=0.2)) as client:
            answers = await asyncio.gather(recommend(client), recommend(client))
            assert [answer.status_code for answer in answers] == [503, 503]
            assert "time limit" in answers[0].json()["error"]
            model.go_on.set()
            assert (await recommend(client)).status_code == 200
            assert len(model.batches) == 2

    asyncio.run(scenario())


def test_a_request_that_was_given_up_holds_no_place_of_the_queue(export: Path) -> None:
    model = SlowModel(export)

    async def scenario() -> None:
        settings = ServeSettings(export, timeout_s=0.3, max_waiting=1)
        async with running(model, settings) as client:
            first = asyncio.create_task(recommend(client))
            await until(lambda: model.batches == [1])
            for _ in range(3):
                assert (await recommend(client)).status_code == 503
            assert (await first).status_code == 503
            model.go_on.set()
            assert (await recommend(client)).status_code == 200

    asyncio.run(scenario())


def test_a_failing_batch_answers_500_and_the_next_goes_on(export: Path) -> None:
    model = SlowModel(export)

    def fail(requests: Any) -> Any:
        model.answer = answer  # type: ignore[method-assign]
        raise RuntimeError("broken")

    answer, model.answer = model.answer, fail  # type: ignore[method-assign]
    model.go_on.set()

    async def scenario() -> None:
        settings = ServeSettings(export)
        async with running(model, settings) as client:
            client._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
            assert (await recommend(client)).status_code == 500
            assert (await recommend(client)).status_code == 200

    asyncio.run(scenario())


def test_versions_are_swapped_and_taken_back_without_a_lost_request(export: Path) -> None:
    settings = ServeSettings(export, **QUICK)

    async def scenario() -> None:
        async with running(open_model(read_export(export)), settings) as client:

            async def served_until(number: int) -> None:
                seen: set[str] = set()
                while VERSION.format(number) not in seen:
                    answers = await asyncio.gather(*(recommend(client) for _ in range(8)))
                    assert {answer.status_code for answer in answers} == {200}
                    seen = {answer.json()["version"] for answer in answers}

            newer = write_export(export.with_name("made"), number=2, tables={"model": TABLE[::-1]})
            newer.parent.rename(export / newer.parent.name)
            await asyncio.wait_for(served_until(2), 20)
            (export / newer.parent.name).rename(export.with_name("gone"))
            await asyncio.wait_for(served_until(1), 20)

    asyncio.run(scenario())


def test_a_damaged_version_is_left_alone(export: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = ServeSettings(export, **QUICK)

    async def scenario() -> None:
        async with running(open_model(read_export(export)), settings) as client:
            damaged = write_export(export.with_name("made"), number=2)
            (damaged / "items.json").write_text("[]")
            damaged.parent.rename(export / damaged.parent.name)
            metrics = ""
            while "seqtune_refused_versions_total 1.0" not in metrics:
                metrics = (await client.get("/metrics")).text
                await asyncio.sleep(0.01)
            assert (await recommend(client)).json()["version"] == VERSION.format(1)

    asyncio.run(asyncio.wait_for(scenario(), 20))
    assert "cannot be served; 2026-01-01T00.00.00.000Z goes on" in caplog.text
