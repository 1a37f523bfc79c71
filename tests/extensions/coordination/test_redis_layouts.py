"""The contract of every store, on the other ways in which Redis can be set up: partitions, Sentinel, a cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import test_backends
from .servers import Cluster, SentinelSet, Server
from .stores import Store

# With several partitions a revision is more than a number, and these resume from a number.
_FROM_A_NUMBER = {
    "test_a_holder_that_is_named_gives_way_in_one_step_with_two_changes",
    "test_a_patch_changes_fields_and_says_what_the_status_was",
    "test_the_log_tells_everything_in_order_and_without_gaps",
    "test_beats_are_news_but_no_changes",
}
# Each partition numbers its own records; the sum is the reader's.
_NUMBERS_OF_RECORDS = {"test_what_is_put_is_listed_in_the_order_of_registration"}

_layouts = ["four partitions", "cluster", "sentinel"]


@pytest.fixture(scope="session")
def quiet_sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    with SentinelSet(tmp_path_factory.mktemp("sentinel")) as servers:
        yield servers


@pytest.fixture(params=_layouts)
def store(request: pytest.FixtureRequest, redis_prefix: str) -> Store:
    if request.param == "cluster":
        cluster: Cluster = request.getfixturevalue("redis_cluster")
        return Store("redis", f"{cluster.url}?prefix={redis_prefix}&partitions=5")
    if request.param == "sentinel":
        sentinels: SentinelSet = request.getfixturevalue("quiet_sentinels")
        return Store("redis", f"{sentinels.url}?prefix={redis_prefix}")
    server: Server = request.getfixturevalue("redis_server")
    return Store("redis", f"{server.url}?prefix={redis_prefix}&partitions=4")


for _name, _test in vars(test_backends).items():
    if _name.startswith("test_") and _name not in _FROM_A_NUMBER | _NUMBERS_OF_RECORDS:
        globals()[_name] = _test
