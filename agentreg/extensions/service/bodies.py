"""Bodies of requests: read, bounded, decoded, checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import msgspec

from agentreg.extensions.service.guarding import Head
from agentreg.extensions.service.limits import Limits
from agentreg.extensions.service.refusals import Refusal

__all__ = ["Gone", "check_object", "check_text", "decode", "misshapen", "read_json"]

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Gone(Exception):
    """The caller went away in the middle of its request."""


async def read_json(receive: Receive, head: Head, limits: Limits, kinds: tuple[bytes, ...] = ()) -> bytes:
    """The bytes of a JSON body; a Refusal for one of another kind, or one that is too long."""
    length = head.length
    if length is not None and (len(length) > 18 or not length.isdigit() or int(length) > limits.body):
        await _drain(receive, limits, 0)
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > limits.body:
            break
    if len(body) > limits.body:
        await _drain(receive, limits, len(body) if message.get("more_body", False) else -1)
    _check_kind(head.content_type, kinds)
    return body


def _check_kind(content_type: bytes | None, kinds: tuple[bytes, ...]) -> None:
    if content_type == b"application/json":
        return
    kind = (content_type or b"").partition(b";")[0].strip().lower()
    if kind != b"application/json" and kind not in kinds:
        came = f"got {kind.decode('latin-1')!r}" if kind else "there was none"
        raise Refusal(415, f"expected the header Content-Type: application/json, {came}")


async def _drain(receive: Receive, limits: Limits, read: int) -> None:
    """Read on without keeping it, since many clients only listen once they have sent everything; then refuse."""
    while 0 <= read <= limits.drained:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        read += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    detail = f"the body is longer than {limits.body:,} bytes, the limit for one request; send less at once"
    raise Refusal(413, detail, headers={"connection": "close"} if read > limits.drained else None)


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """What *body* says; a Refusal that names the place if it is no JSON or not of the expected shape."""
    try:
        return decoder.decode(body)
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise Refusal(400, "the body is nested too deep for anything that could be meant") from None
    except msgspec.ValidationError as error:
        raise misshapen(error) from None
    except msgspec.DecodeError as error:
        raise Refusal(400, f"the body is no JSON: {error}") from None


def misshapen(error: msgspec.ValidationError) -> Refusal:
    """The Refusal for a value that is not of the expected shape; it names the place."""
    what, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").removeprefix("$")
    return Refusal(400, f"{path.lstrip('.') or 'body'}: {what}", _pointer(path))


def _pointer(path: str) -> str:
    """The JSON pointer to *path*; ``config[...]`` is some value of ``config``, it isn't said which."""
    return path.partition("[...]")[0].replace(".", "/").replace("[", "/").replace("]", "")


def check_text(field: str, text: str, most: int) -> None:
    """Refuse a *text* of more than *most* characters, or with control characters."""
    if len(text) > most:
        detail = f"{field}: expected at most {most:,} characters, got {len(text):,}"
        raise Refusal(400, detail, f"/{field}")
    if not text.isprintable() and any(character < " " or character == "\x7f" for character in text):
        detail = f"{field}: expected text without control characters, got {text[:80]!r}"
        raise Refusal(400, detail, f"/{field}")


def check_object(field: str, value: dict[str, Any], limits: Limits) -> None:
    """Refuse a JSON object that is too large or nested too deep."""
    if not value:
        return
    if _is_deeper(value, limits.depth):
        detail = f"{field}: expected at most {limits.depth} levels of nesting; flatten it, or keep it as text"
        raise Refusal(400, detail, f"/{field}")
    try:
        size = len(msgspec.json.encode(value))
    except (ValueError, OverflowError, msgspec.EncodeError) as error:
        raise Refusal(400, f"{field}: {error}", f"/{field}") from None
    if size > limits.metadata:
        detail = f"{field}: expected at most {limits.metadata:,} bytes of JSON, got {size:,}; keep it elsewhere"
        raise Refusal(413, detail, f"/{field}")


def _is_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in value if isinstance(each, (dict, list)))
