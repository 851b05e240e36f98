"""Clients that ask a server again and again over connections of their own, with little work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Load:
    """What clients saw."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def ask(port: int, bodies: Callable[[], bytes], *, clients: int, seconds: float) -> Load:
    """Ask with so many clients, each as soon as its last answer is there."""
    load = Load()
    until = time.perf_counter() + seconds
    await asyncio.gather(*(_client(port, bodies, until, load) for _ in range(clients)))
    return load


async def _client(port: int, bodies: Callable[[], bytes], until: float, load: Load) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (start := time.perf_counter()) < until:
            body = bodies()
            head = f"POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
            writer.write(head.encode() + b"content-type: application/json\r\n\r\n" + body)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            lengths = (line[16:] for line in lines if line.startswith("content-length: "))
            answer = await reader.readexactly(int(next(lengths)))
            load.seconds.append(time.perf_counter() - start)
            if " 200 " not in lines[0]:
                load.errors.append(f"{lines[0]}: {answer.decode()}")
    except (OSError, asyncio.IncompleteReadError) as error:
        load.errors.append(repr(error))
    finally:
        writer.close()
