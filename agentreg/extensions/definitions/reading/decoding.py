"""Bytes to text: UTF-8 or an error with its place, never a guess."""

from __future__ import annotations

import codecs
import re

from agentreg.extensions.definitions.problems import Reporter

__all__ = ["decode", "place_of"]

_WIDE = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LONE = re.compile("[\ud800-\udfff]")
_SAVE = "save the file as UTF-8"


def decode(data: bytes | str, reporter: Reporter) -> str:
    """The text of *data*, with ``\\n`` at every line's end and without a byte-order mark, about which it warns.

    Raises:
        DefinitionError: it is not UTF-8, or has a NUL.
    """
    text = data if isinstance(data, str) else _from_bytes(data, reporter)
    if text.startswith("\ufeff"):
        reporter.warn(1, 1, "the file begins with a byte-order mark", "save it as UTF-8 without one")
        text = text[1:]
    _refuse(text, text.find("\0"), "the file has a NUL character", f"it is binary, or UTF-16: {_SAVE}", reporter)
    if isinstance(data, str) and not text.isascii() and (lone := _LONE.search(text)):
        _refuse(text, lone.start(), "half of a surrogate pair is no character", _SAVE, reporter)
    return _with_plain_line_ends(text)


def place_of(text: str, position: int) -> tuple[int, int]:
    """Line and column of *position*, both from 1.

    >>> place_of("one\\ntwo", 5)
    (2, 2)
    """
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _from_bytes(data: bytes, reporter: Reporter) -> str:
    if data.startswith(_WIDE):
        raise reporter.error(1, 1, "the file is UTF-16 or UTF-32", _SAVE)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8").removeprefix("\ufeff")
        line, column = _last_place(before)
        what = f"byte 0x{data[error.start]:02x} is no UTF-8 ({error.reason})"
        raise reporter.error(line, column, what, f"{_SAVE}; it may be Latin-1, or cut off") from None


def _refuse(text: str, position: int, message: str, remedy: str, reporter: Reporter) -> None:
    if position >= 0:
        line, column = _last_place(text[:position])
        raise reporter.error(line, column, message, remedy)


def _last_place(before: str) -> tuple[int, int]:
    """The place right behind *before*, whose line ends may be of any kind."""
    before = _with_plain_line_ends(before)
    return place_of(before, len(before))


def _with_plain_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
