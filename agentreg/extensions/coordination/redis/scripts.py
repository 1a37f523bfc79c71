"""The Lua scripts: one for each step that must be atomic. Their text stands beside this file."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import NamedTuple

__all__ = ["DELETE", "HELLO", "KEYS", "PAGE", "PATCH", "PUT", "READ", "RENEW", "Script"]

#: What a partition consists of, in the order in which scripts get the keys.
KEYS = ("state", "records", "order", "log", "beats", "runtimes")


class Script(NamedTuple):
    """A script, and the name that a server knows it by."""

    text: str
    sha: str


_folder = resources.files(__package__)
_common = _folder.joinpath("common.lua").read_text("utf-8")


def _script(name: str) -> Script:
    text = f"{_common}\n{_folder.joinpath(f'{name}.lua').read_text('utf-8')}"
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


HELLO = _script("hello")
PUT = _script("put")
PATCH = _script("patch")
DELETE = _script("delete")
RENEW = _script("renew")
READ = _script("read")
PAGE = _script("page")
