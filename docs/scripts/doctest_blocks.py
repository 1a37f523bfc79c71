"""For mkdocstrings: shows the doctests of docstrings as code.

Markdown would take ``>>>`` for a quotation in a quotation in a quotation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import griffe


class DoctestBlocks(griffe.Extension):
    """Puts fences around the doctests in every docstring."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the docstring of what was just read."""
        if obj.docstring is not None:
            obj.docstring.value = "\n".join(_fenced(obj.docstring.value.splitlines()))


def _fenced(lines: list[str]) -> Iterator[str]:
    indent = None  # of the doctest that the line is in
    for line in [*lines, ""]:
        text = line.lstrip()
        if indent is None and text.startswith(">>> "):
            indent = line[: -len(text)]
            yield f"{indent}```pycon"
        elif indent is not None and not text:
            yield f"{indent}```"
            indent = None
        yield line
