"""The addresses of Redis servers: what they say, and what is wrong with those that say nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentreg.extensions.coordination.errors import BackendURLError
from agentreg.extensions.coordination.redis import RedisBackend
from agentreg.extensions.coordination.redis.urls import Address, parse

ONE = Address("", "single", (("h", 6379),))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", ONE),
        ("redis://h/", ONE),
        ("REDIS://h:7/3", replace(ONE, hosts=(("h", 7),), db=3)),
        ("redis://user:p%40ss@h", replace(ONE, username="user", password="p@ss")),
        ("redis://:secret@h", replace(ONE, password="secret")),
        ("redis://[::1]:7", replace(ONE, hosts=(("::1", 7),))),
        ("rediss://h", replace(ONE, tls=True)),
        (
            "rediss://h?ssl_ca_certs=/ca.pem&ssl_check_hostname=no",
            replace(ONE, tls=True, options={"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False}),
        ),
        (
            "rediss://h?ssl_cert_reqs=none",
            replace(ONE, tls=True, options={"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
        ),
        (
            "redis://h?timeout=0.5&prefix=crew&partitions=4&history=10",
            replace(ONE, timeout=0.5, prefix="crew", partitions=4, history=10),
        ),
        ("unix:///run/redis.sock", Address("", "unix", path="/run/redis.sock")),
        ("unix:///run/redis.sock?db=2", Address("", "unix", path="/run/redis.sock", db=2)),
        (
            "redis+sentinel://a,b:7/crew/2",
            Address("", "sentinel", (("a", 26379), ("b", 7)), service="crew", db=2),
        ),
        (
            "redis-sentinel://u:p@a/crew?sentinel_username=s&sentinel_password=t",
            Address(
                "",
                "sentinel",
                (("a", 26379),),
                service="crew",
                username="u",
                password="p",
                sentinel={"username": "s", "password": "t"},
            ),
        ),
        ("rediss+sentinel://a/crew", Address("", "sentinel", (("a", 26379),), service="crew", tls=True)),
        ("redis+cluster://a,b:7", Address("", "cluster", (("a", 6379), ("b", 7)), partitions=16)),
        ("redis-cluster://a/0?partitions=3", Address("", "cluster", (("a", 6379),), partitions=3)),
        ("rediss-cluster://a", Address("", "cluster", (("a", 6379),), partitions=16, tls=True)),
    ],
)
def test_an_address_says_where_and_how(url: str, expected: Address) -> None:
    assert replace(parse(url), url="") == expected


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://", "a host and its port"),
        ("redis://h:port", "port"),
        ("redis://h:99999", "[Pp]ort"),
        ("redis://a,b", "one host"),
        ("redis://h/database", "number of a database, got 'database'"),
        ("redis://h/0/1", "number of a database"),
        ("redis://h#1", "%23"),
        ("redis://h?timeout=never", "timeout: expected a number from 0.001 to 3600, got 'never'"),
        ("redis://h?timeout=0", "timeout"),
        ("redis://h?timeout=nan", "timeout"),
        ("redis://h?partitions=0", "partitions: expected a whole number from 1 to 1024, got '0'"),
        ("redis://h?partitions=2.5", "partitions"),
        ("redis://h?history=0", "history: expected a whole number from 1 up, got '0'"),
        ("redis://h?prefix=", "prefix"),
        ("redis://h?prefix={x}", "prefix"),
        ("redis://h?colour=blue", "unknown parameter 'colour'"),
        ("redis://h?timeout", "query"),
        ("redis://h?ssl_ca_certs=x", "rediss://"),
        ("rediss://h?ssl_cert_reqs=maybe", "required, optional or none"),
        ("rediss://h?ssl_check_hostname=maybe", "true or false"),
        ("redis://h?sentinel_password=x", "redis.sentinel://"),
        ("redis+sentinel://a,b", "name of the sentinels' service"),
        ("redis+cluster://a/3", "database 0 only"),
        ("redis+sharded://a", "no Redis goes by 'redis.sharded'"),
        ("unix://", "path of a socket"),
        ("redis://[::1", "IPv6|bracket|host"),
    ],
)
def test_an_address_of_no_known_form_is_refused_with_the_forms(url: str, reason: str) -> None:
    with pytest.raises(BackendURLError, match=reason) as caught:
        RedisBackend(url)

    assert "redis+sentinel://" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:secret@h/nothing",
        "redis://:secret@h?bad=1",
        "redis+sentinel://:secret@a/crew?sentinel_password=secret&bad=1",
    ],
)
def test_a_password_shows_in_no_error(url: str) -> None:
    with pytest.raises(BackendURLError) as caught:
        parse(url)

    assert "secret" not in str(caught.value)


def test_a_password_shows_neither_in_the_url_nor_in_the_repr() -> None:
    address = parse("redis+sentinel://user:secret@a/crew?sentinel_password=secret&prefix=x")

    assert address.url == "redis+sentinel://user:***@a/crew?prefix=x"
    assert "secret" not in repr(address)


def test_something_else_than_text_is_refused() -> None:
    with pytest.raises(BackendURLError, match="7"):
        parse(7)  # type: ignore[arg-type]
