"""One server, and the connections that are kept to it."""

from __future__ import annotations

from typing import Any

import redis.asyncio as aioredis
from redis.exceptions import ResponseError

__all__ = ["Server", "Words"]


Words = tuple[str | int, ...]


def _packed(words: Words) -> bytes:
    # redis-py's own is prepared for much that does not occur here, and takes as long as a script
    encoded = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded])


async def _answer(connection: aioredis.Connection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


class Server:
    """One server: commands and their answers.

    Connections are kept here between commands, for redis-py's pool takes
    several times as long to hand one out as the server needs for a script.
    Nothing here ends by itself: the caller sets the time.
    """

    def __init__(self, client: aioredis.Redis) -> None:
        self._client = client
        self._pool = client.connection_pool
        self._free: list[aioredis.Connection] = []

    async def ask(self, *words: str | int) -> Any:
        """The answer to one command. Raises redis' errors."""
        [answer] = await self.exchange(words)
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    async def exchange(self, *commands: Words) -> list[Any]:
        """The answers to commands that are sent together; an error that is a command's answer stands in its place.

        Raises redis' other errors; a connection that had one is not used again.
        """
        connection = self._free.pop() if self._free else await self._connect()
        try:
            await connection.send_packed_command(b"".join(map(_packed, commands)), check_health=False)
            answers = [await _answer(connection) for _ in commands]
        except BaseException:
            await self._drop(connection)
            raise
        self._free.append(connection)
        return answers

    async def _connect(self) -> aioredis.Connection:
        return await self._pool.get_connection()  # type: ignore[no-untyped-call,no-any-return,unused-ignore]

    async def _drop(self, connection: aioredis.Connection) -> None:
        await connection.disconnect(nowait=True)
        await self._pool.release(connection)

    async def drop_idle(self) -> None:
        """End the connections that nobody uses now: one that was cut tells so only when it is used."""
        free, self._free = self._free, []
        for connection in free:
            await self._drop(connection)

    async def close(self) -> None:
        """End every connection."""
        await self.drop_idle()
        await self._client.aclose()
