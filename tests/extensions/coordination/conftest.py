"""Servers for the stores that need one: one of each kind for all tests of a worker."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from .servers import Cluster, SentinelSet, Server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that keeps nothing on disk. It is everyone's: use `redis_url`, or a prefix of your own."""
    with Server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_prefix() -> str:
    """The name of a directory that no other test uses."""
    return f"test{next(_numbers)}"


@pytest.fixture
def redis_url(redis_server: Server, redis_prefix: str) -> str:
    """The address of a new directory."""
    return f"{redis_server.url}?prefix={redis_prefix}"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that this test may stop."""
    with Server(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that share the keys. It is everyone's: use a prefix of your own."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[SentinelSet]:
    """Three servers and three sentinels, which this test may stop."""
    with SentinelSet(tmp_path) as servers:
        yield servers
