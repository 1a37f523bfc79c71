"""Which server answers for a partition, and the connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import redis.asyncio as aioredis
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot

from agentreg.extensions.coordination.redis.server import Server
from agentreg.extensions.coordination.redis.urls import Address

__all__ = ["AT_ONCE", "Nodes", "nodes_at"]

AT_ONCE = 16  #: how many scripts of one process run at the same time

Host = tuple[str, int]


class Nodes(Protocol):
    """The servers of one directory."""

    async def server(self, partition: int) -> Server:
        """Whom to ask about a partition. Raises redis' errors when that can't be found out."""

    async def doubt(self) -> None:
        """Someone could not be reached, or was not the one to ask."""

    async def close(self) -> None:
        """End every connection."""


def nodes_at(address: Address, keys: Sequence[str], patience: float) -> Nodes:
    """The servers at *address*.

    Args:
        address: Where they are.
        keys: One of each partition.
        patience: Seconds until one attempt counts as failed.
    """
    options = _options(address, patience)
    if address.mode == "cluster":
        return _Cluster(address, keys, options)
    if address.mode == "sentinel":
        return _Sentinels(address, options)
    return _Single(address, options)


def _options(address: Address, patience: float) -> dict[str, Any]:
    return {
        "username": address.username,
        "password": address.password,
        "socket_timeout": None,  # the caller's: redis-py makes a task for each command otherwise
        "socket_connect_timeout": patience,
        "socket_keepalive": True,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": AT_ONCE + address.partitions + 4,
        **({"ssl": True, **address.options} if address.tls else {}),
    }


class _One:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def server(self, partition: int) -> Server:
        return self._server

    async def doubt(self) -> None:
        await self._server.drop_idle()

    async def close(self) -> None:
        await self._server.close()


class _Single(_One):
    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        if address.mode == "unix":
            del options["socket_keepalive"]
            client = aioredis.Redis(unix_socket_path=address.path, db=address.db, **options)
        else:
            [(host, port)] = address.hosts
            client = aioredis.Redis(host=host, port=port, db=address.db, **options)
        super().__init__(Server(client))


class _Sentinels(_One):
    """The sentinels are asked for each new connection."""

    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        own = {**options, "username": None, "password": None, **address.sentinel}
        # one sentinel that is stopped must leave time to ask the next
        own["socket_timeout"] = own["socket_connect_timeout"] = options["socket_connect_timeout"] / (
            len(address.hosts) + 1
        )
        self._sentinel = Sentinel(address.hosts, sentinel_kwargs=own, **options)  # type: ignore[no-untyped-call]
        super().__init__(Server(self._sentinel.master_for(address.service, db=address.db)))

    async def close(self) -> None:
        await super().close()
        for each in self._sentinel.sentinels:
            await each.aclose()


class _Cluster:
    """A cluster's nodes.

    Not redis-py's own client for clusters: on trouble with one node, that
    one closes connections which other tasks are reading from. All there is
    to know here is who has the slots of some known keys.
    """

    def __init__(self, address: Address, keys: Sequence[str], options: dict[str, Any]) -> None:
        self._slots = [key_slot(key.encode()) for key in keys]
        self._options = options
        self._hosts = list(address.hosts)  # those to ask first come first
        self._servers: dict[Host, Server] = {}
        self._owners: list[Host] | None = None
        self._lock = asyncio.Lock()

    async def server(self, partition: int) -> Server:
        owners = self._owners
        if owners is None:
            async with self._lock:
                if self._owners is None:
                    self._owners = await self._find_owners()
                owners = self._owners
        return self._server(owners[partition])

    def _server(self, host: Host) -> Server:
        if host not in self._servers:
            self._servers[host] = Server(aioredis.Redis(host=host[0], port=host[1], **self._options))
        return self._servers[host]

    async def _find_owners(self) -> list[Host]:
        failure: Exception = exceptions.ConnectionError("no node of the cluster is known")
        for host in list(self._hosts):
            try:
                return await self._ask(host)
            except (exceptions.RedisError, OSError, asyncio.TimeoutError) as error:
                failure = error
                self._hosts.remove(host)
                self._hosts.append(host)
        raise exceptions.ConnectionError(f"no node of the cluster tells who has the keys ({failure})")

    async def _ask(self, host: Host) -> list[Host]:
        # one node that is stopped must leave time to ask the next
        seconds = self._options["socket_connect_timeout"] / min(len(self._hosts), 4)
        ranges = await asyncio.wait_for(self._server(host).ask("CLUSTER", "SLOTS"), seconds)
        owners = [_owner(slot, ranges, host[0]) for slot in self._slots]
        self._hosts += [each for each in dict.fromkeys(owners) if each not in self._hosts]
        return owners

    async def doubt(self) -> None:
        self._owners = None
        for server in self._servers.values():
            await server.drop_idle()

    async def close(self) -> None:
        for server in self._servers.values():
            await server.close()


def _owner(slot: int, ranges: Iterable[Sequence[Any]], asked: str) -> Host:
    for first, last, primary, *_ in ranges:
        if first <= slot <= last:
            host = (primary[0] or b"").decode()
            return host or asked, primary[1]  # a node that doesn't know its own address leaves it out
    raise exceptions.ConnectionError(f"nobody in the cluster has slot {slot}")
