"""What an agent says of itself: its id, its name and what it can do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["capabilities_of", "identity", "is_plain", "json_object", "plain_card", "text"]

_NO_TEXT = (int, float, bytes)
_LONGEST = 255  # characters of an id, a runtime's id or a name
_LONGEST_CAPABILITY = 1_000  # characters
_MOST_CAPABILITIES = 1_000
_MOST = 65_536  # characters of a JSON object


def text(value: object, what: str) -> str:
    """*value*, if it is an id or a name as it should be."""
    if not isinstance(value, str):
        raise TypeError(f"{what}: expected text, got {value!r}")
    if not 0 < len(value) <= _LONGEST or not value.isprintable() or value.isspace():
        raise ValueError(f"{what}: expected 1 to {_LONGEST} printable characters, got {value[:60]!r}")
    return value


def identity(agent: object, attribute: str) -> str | None:
    """The agent's own *attribute* if it is text, and not empty; TypeError for a number or bytes.

    Other objects (a method, a mock's attribute) say nothing of the kind.
    """
    value = getattr(agent, attribute, None)
    if isinstance(value, str):
        return value or None
    if isinstance(value, _NO_TEXT):
        raise TypeError(f"the agent's {attribute}: expected text, got {value!r}")
    return None


def capabilities_of(agent: object, given: Iterable[str] | None) -> tuple[str, ...]:
    """What the agent can do: *given*, else what its card says, else its ``capabilities``; each once.

    A card is a dict with ``capability`` or ``capabilities``, or an A2A card
    object, whose skills' names and tags count. Raises TypeError or
    ValueError for anything that is not text.
    """
    if given is not None:
        return _texts(given, "capabilities")
    card = getattr(agent, "_a2a_card", None)
    if isinstance(card, (dict, Mapping)):  # a dict is recognised ten times faster
        return _of_mapping(card)
    if card is not None and isinstance(getattr(card, "skills", None), (list, tuple)):
        return _of_skills(card.skills)
    own = getattr(agent, "capabilities", None)
    if not isinstance(own, (str, list, tuple, set, frozenset, dict, *_NO_TEXT)):
        return ()
    return _texts(own, "the agent's capabilities")


def _of_mapping(card: Mapping[str, Any]) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    for key in ("capability", "capabilities"):
        value = card.get(key)
        if value is not None and not isinstance(value, (dict, Mapping)):  # A2A's own `capabilities` are switches
            found += _texts(value, key)
    if isinstance(card.get("skills"), (list, tuple)):
        found += _of_skills(card["skills"])
    return found if len(found) < 2 else tuple(dict.fromkeys(found))


def _of_skills(skills: Iterable[Any]) -> tuple[str, ...]:
    found: list[str] = []
    for skill in skills:
        get = skill.get if isinstance(skill, Mapping) else lambda key, skill=skill: getattr(skill, key, None)
        if isinstance(skill, str):
            found.append(skill)
            continue
        name = get("name") or get("id")
        if name is not None:
            found += _texts(name, "the name of a skill in the card")
        found += _texts(get("tags") or (), "the tags of a skill in the card")
    return tuple(dict.fromkeys(found))


def _texts(values: object, what: str) -> tuple[str, ...]:
    if isinstance(values, str):
        values = (values,)
    elif isinstance(values, bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{what}: expected texts, got {values!r}")
    found: dict[str, None] = {}
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{what}: expected texts, got {value!r} among them")
        if not value or value.isspace():
            raise ValueError(f"{what}: expected texts that say something, got {value!r} among them")
        if len(value) > _LONGEST_CAPABILITY:
            raise ValueError(f"{what}: expected at most {_LONGEST_CAPABILITY} characters, got {len(value)}")
        found[value] = None
    if len(found) > _MOST_CAPABILITIES:
        raise ValueError(f"{what}: expected at most {_MOST_CAPABILITIES} texts, got {len(found)}")
    return tuple(found)


def plain_card(card: object) -> object:
    """The card as a dict if it can be had as one; else as it is, for this process only."""
    if isinstance(card, (dict, Mapping)):
        return card
    for method in ("model_dump", "to_dict"):
        dump = getattr(card, method, None)
        if callable(dump):
            plain = dump()
            return plain if isinstance(plain, dict) else card
    return card


def is_plain(value: object) -> bool:
    """Whether *value* is a plain JSON object."""
    if not isinstance(value, dict):
        return False
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def json_object(value: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    """A copy of *value*, if it is a plain JSON object."""
    if not value:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{what}: expected a plain JSON object, got {value!r}")
    try:
        encoded = json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: expected a plain JSON object, got {value!r} ({error})") from error
    if len(encoded) > _MOST:
        raise ValueError(f"{what}: expected at most {_MOST} characters of JSON, got {len(encoded)}")
    decoded: dict[str, Any] = json.loads(encoded)
    return decoded
