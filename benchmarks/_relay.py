"""A TCP relay that hands every piece on a little later: a network between two machines.

with relay(to_port, one_way=0.005) as port: ...
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

BYTES = 1 << 16


@contextmanager
def relay(to_port: int, *, one_way: float) -> Iterator[int]:
    """A port of loopback in a process of its own, behind which `to_port` seems far away."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen([sys.executable, __file__, str(port), str(to_port), str(one_way)])
    try:
        _wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    while True:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return


async def _serve(port: int, to_port: int, one_way: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to_port)
            await asyncio.gather(
                _carry(reader, far_writer, one_way), _carry(far_reader, writer, one_way)
            )

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, late: float) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while piece := await reader.read(BYTES):
            loop.call_later(late, writer.write, piece)
    loop.call_later(late, writer.close)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
