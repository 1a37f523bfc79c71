"""The files of the page: read once, with their types and digests."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["PAGE", "Asset", "assets"]

#: The page itself, among `assets`.
PAGE = "index.html"

_FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Asset(NamedTuple):
    """One file of the page.

    Attributes:
        content: Its bytes.
        kind: Its media type.
        etag: A digest of its content, in quotes: an ``ETag`` as HTTP has it.
    """

    content: bytes
    kind: str
    etag: str


@functools.cache
def assets() -> Mapping[str, Asset]:
    """All files of the page by their paths below it. Read at the first call; a later one gives the same object.

    >>> assets()["app.js"].kind
    'text/javascript; charset=utf-8'
    """
    files = sorted(path for path in _FOLDER.rglob("*") if path.suffix in _TYPES)
    return MappingProxyType({path.relative_to(_FOLDER).as_posix(): _asset(path) for path in files})


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, _TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
