"""The reference of the interface is true: its commands run in order, and give answers of the shapes that it shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.service.events.frames import TYPES

from .threaded import ThreadedService

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What is different each time.
VOLATILE = {
    *("as_of", "created_at", "digest", "heartbeat_age", "host", "instance_id", "last_activity", "last_heartbeat"),
    *("last_modified", "revision", "started_at", "token", "updated_at", "uptime", "version"),
}

pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the docs are not there")


def blocks(page: str) -> Iterator[tuple[str, str]]:
    for match in BLOCK.finditer((REFERENCE / page).read_text(encoding="utf-8")):
        yield match[1], match[2]


def like(value: Any, shown: Any, name: str = "") -> Any:
    """*value*, with what *shown* has where it is different each time."""
    if isinstance(value, dict) and isinstance(shown, dict):
        return {key: like(each, shown.get(key), key) for key, each in value.items()}
    if isinstance(value, list) and isinstance(shown, list) and len(value) == len(shown):
        return [like(each, example) for each, example in zip(value, shown, strict=True)]
    is_volatile = name in VOLATILE and isinstance(value, (str, int, float)) and isinstance(shown, (str, int, float))
    return shown if is_volatile and isinstance(value, str) == isinstance(shown, str) else value


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_commands_of_the_reference_give_what_it_shows() -> None:
    service, answer, compared = ThreadedService(), "", 0
    try:
        for kind, text in blocks("http.md"):
            if kind == "sh":
                command = text.replace("$URL", service.url).replace("curl ", "curl --fail-with-body ", 1)
                done = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, timeout=30)
                assert done.returncode == 0, (text, done.stdout, done.stderr)
                answer = done.stdout
            else:
                shown = json.loads(text, strict=False)
                assert like(json.loads(answer), shown) == shown
                compared += 1
    finally:
        service.stop()
    assert compared > 10


def test_every_type_of_frame_has_an_example() -> None:
    frames = [json.loads(text) for kind, text in blocks("service_events.md") if kind == "json"]

    assert {frame["type"] for frame in frames} == {*TYPES, "listing", "resync"}
    assert all(set(frame) == {"type", "revision", "time", "data"} for frame in frames)
