"""Names of files and functions in a form that a terminal and a Markdown table can bear."""

from __future__ import annotations

__all__ = ["code", "counted", "printable"]


def printable(text: str) -> str:
    """*text* with what can't be printed, control characters for one, spelled out.

    >>> printable("a\\x1b[31m.py")
    'a\\\\x1b[31m.py'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def code(text: str) -> str:
    """*text* as code in a Markdown table.

    >>> code("a|b.py")
    '`a\\\\|b.py`'
    """
    return "`" + printable(text).replace("`", "'").replace("|", "\\|") + "`"


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "file"), counted(1200, "file")
    ('1 file', '1,200 files')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
