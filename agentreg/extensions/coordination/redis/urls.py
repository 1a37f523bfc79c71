"""The addresses of Redis servers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from agentreg.extensions.coordination.backend import without_password
from agentreg.extensions.coordination.errors import BackendURLError

__all__ = ["FORMS", "Address", "parse"]

FORMS = (
    "redis://[user:password@]host[:port][/db]",
    "rediss://[user:password@]host[:port][/db]",
    "unix://[user:password@]/path/to/socket[?db=N]",
    "redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db]",
    "redis+cluster://[user:password@]host[:port][,host[:port]...]",
    "each with ?timeout=SECONDS&prefix=NAME&partitions=N&history=N",
)

_MODES: dict[str, Literal["single", "unix", "sentinel", "cluster"]] = {
    "redis": "single",
    "unix": "unix",
    "redis+sentinel": "sentinel",
    "redis-sentinel": "sentinel",
    "redis+cluster": "cluster",
    "redis-cluster": "cluster",
}
_PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL says.

    Attributes:
        url: The URL without its passwords.
        mode: What answers there.
        hosts: Where: of the server, the sentinels, or some of the cluster's nodes.
        tls: Whether connections are encrypted.
        db: The database's number.
        service: What the sentinels call the servers.
        path: The socket's.
        username, password: Of the servers.
        options: More for connections: the ``ssl_...`` parameters.
        sentinel: The sentinels' own ``username`` and ``password``.
        timeout: Seconds that a call may take.
        prefix: What all keys begin with.
        partitions: Over how many the records are spread.
        history: How many changes each partition's log keeps.
    """

    url: str
    mode: Literal["single", "unix", "sentinel", "cluster"]
    hosts: tuple[tuple[str, int], ...] = ()
    tls: bool = False
    db: int = 0
    service: str = ""
    path: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinel: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 5.0
    prefix: str = "agentreg"
    partitions: int = 1
    history: int = 100_000


def parse(url: str) -> Address:
    """What *url* says. Raises BackendURLError for one of no known form."""
    return _Parser(url).address()


class _Parser:
    def __init__(self, url: str) -> None:
        self.url = without_password(url).partition("?")[0] if isinstance(url, str) else repr(url)
        try:
            self.parts = urlsplit(url)
            self.parameters = (
                dict(parse_qsl(self.parts.query, keep_blank_values=True, strict_parsing=True))
                if (self.parts.query)
                else {}
            )
        except (ValueError, TypeError, AttributeError) as error:
            self.refuse(str(error))

    def refuse(self, reason: str) -> NoReturn:
        raise BackendURLError(self.url, reason, FORMS) from None

    def address(self) -> Address:
        scheme = self.parts.scheme.lower()
        tls = scheme.startswith("rediss")
        mode = _MODES.get(scheme.replace("rediss", "redis", 1))
        if mode is None:
            self.refuse(f"no Redis goes by {scheme!r}")
        if self.parts.fragment:
            self.refuse(f"'#{self.parts.fragment}' says nothing here; write # as %23")
        user, places = self.user_and_places()
        found: dict[str, Any] = {"mode": mode, "tls": tls, **user, **self.place(mode, places)}
        found |= self.own_parameters("16" if mode == "cluster" else "1")
        found["options"] = self.tls_parameters(tls)
        found["sentinel"] = self.sentinel_parameters(mode)
        if self.parameters:
            self.refuse(f"unknown parameter {min(self.parameters)!r}")
        return Address(self.shown(found), **found)

    def shown(self, found: Mapping[str, Any]) -> str:
        # what tells two directories of one server apart must show
        prefix = found["prefix"]
        return self.url if prefix == "agentreg" else f"{self.url}?prefix={prefix}"

    def user_and_places(self) -> tuple[dict[str, str | None], str]:
        user, separator, places = self.parts.netloc.rpartition("@")
        if not separator:
            return {}, places
        name, _, password = user.partition(":")
        return {"username": unquote(name) or None, "password": unquote(password) or None}, places

    def place(self, mode: str, places: str) -> dict[str, Any]:
        path = unquote(self.parts.path)
        if mode == "unix":
            if not path.strip("/"):
                self.refuse("expected the path of a socket")
            return {"path": path, "db": self.number("db", "0", int, 0)}
        hosts = tuple(self.host(each, _PORTS[mode]) for each in places.split(","))
        if mode == "single" and len(hosts) > 1:
            self.refuse("expected one host; several are for redis+sentinel:// and redis+cluster://")
        steps = [step for step in path.split("/") if step]
        service = ""
        if mode == "sentinel":
            if not steps:
                self.refuse("expected the name of the sentinels' service after the hosts")
            service = steps.pop(0)
        db = self.db(steps)
        if mode == "cluster" and db:
            self.refuse("a cluster has database 0 only")
        return {"hosts": hosts, "service": service, "db": db}

    def host(self, text: str, port: int) -> tuple[str, int]:
        try:
            parts = urlsplit(f"//{text}")
            name, given = parts.hostname, parts.port
        except ValueError as error:
            self.refuse(f"host {text!r}: {error}")
        if not name or parts.path:
            self.refuse(f"expected a host and its port, got {text!r}")
        return name, port if given is None else given

    def db(self, steps: list[str]) -> int:
        if len(steps) > 1 or (steps and not (steps[0].isascii() and steps[0].isdigit())):
            self.refuse(f"expected the number of a database, got {'/'.join(steps)!r}")
        return int(steps[0]) if steps else 0

    def own_parameters(self, partitions: str) -> dict[str, Any]:
        prefix = self.parameters.pop("prefix", "agentreg")
        if not prefix or not prefix.isprintable() or set(prefix) & set("{} "):
            self.refuse(f"prefix: expected a name without spaces and braces, got {prefix!r}")
        return {
            "prefix": prefix,
            "timeout": self.number("timeout", "5", float, 0.001, 3600),
            "partitions": self.number("partitions", partitions, int, 1, 1024),
            "history": self.number("history", "100000", int, 1),
        }

    def number(self, name: str, default: str, kind: Callable[[str], Any], least: float, most: float = math.inf) -> Any:
        text = self.parameters.pop(name, default)
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most or not math.isfinite(value):
            what = "a whole number" if kind is int else "a number"
            upto = f" to {most}" if most < math.inf else " up"
            self.refuse(f"{name}: expected {what} from {least}{upto}, got {text!r}")
        return value

    def tls_parameters(self, tls: bool) -> dict[str, Any]:
        options: dict[str, Any] = {name: self.parameters.pop(name) for name in _TLS if name in self.parameters}
        if options and not tls:
            self.refuse(f"{min(options)} is for rediss:// only")
        if "ssl_check_hostname" in options:
            options["ssl_check_hostname"] = self.truth("ssl_check_hostname", options["ssl_check_hostname"])
        if options.get("ssl_cert_reqs", "required") not in ("required", "optional", "none"):
            self.refuse(f"ssl_cert_reqs: expected required, optional or none, got {options['ssl_cert_reqs']!r}")
        if options.get("ssl_cert_reqs") == "none":
            options.setdefault("ssl_check_hostname", False)
        return options

    def truth(self, name: str, text: str) -> bool:
        if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
            self.refuse(f"{name}: expected true or false, got {text!r}")
        return text.lower() in ("true", "1", "yes")

    def sentinel_parameters(self, mode: str) -> dict[str, str]:
        names = ("sentinel_username", "sentinel_password")
        options = {name[9:]: self.parameters.pop(name) for name in names if name in self.parameters}
        if options and mode != "sentinel":
            self.refuse("sentinel_username and sentinel_password are for redis+sentinel:// only")
        return options


_TLS = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)
