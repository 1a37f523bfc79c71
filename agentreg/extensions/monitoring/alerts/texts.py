"""What a name, and what people say, can be."""

from __future__ import annotations

__all__ = ["NAME_LIMIT", "checked_text"]

NAME_LIMIT = 512  # characters of an agent's name


def checked_text(value: object, what: str, limit: int, empty: bool = False) -> str:
    """*value*, if it is a text that can be kept. Raises ValueError.

    >>> checked_text("ann", "by", 10)
    'ann'
    """
    if not isinstance(value, str) or len(value) > limit or not (empty or value.strip()):
        raise ValueError(f"{what}: expected a text of {0 if empty else 1} to {limit} characters, got {value!r:.100}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what}: expected a text that UTF-8 can hold, got {value!r:.100}") from None
    return value
