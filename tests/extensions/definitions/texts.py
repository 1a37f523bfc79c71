"""Small texts of definitions."""

from __future__ import annotations

from pathlib import Path

__all__ = ["definition", "write"]


def definition(name: str, body: str = "Do it.", **fields: str) -> str:
    """A definition with these fields, each in one line."""
    lines = [f"name: {name}", f"description: {fields.pop('description', 'Helps')}"]
    lines += [f"{key}: {value}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---", "", body, ""])


def write(path: Path, name: str, body: str = "Do it.", **fields: str) -> Path:
    """Put a definition into *path*, and make the folders that it takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(definition(name, body, **fields), encoding="utf-8")
    return path
