"""What the service's demo shows of agents that come and go."""

from __future__ import annotations

import io

import pytest

pytest.importorskip("httpx")

from agentreg.demo.serving.scene import KINDS, Scene, kind_of
from agentreg.extensions.coordination import AgentMetadata, Change, Listing


def record(agent_id: str, kind: str) -> AgentMetadata:
    made = AgentMetadata(agent_id, "crew")
    made.metadata = {"kind": kind}
    return made


def test_every_kind_is_told_from_the_others() -> None:
    assert [kind_of(record("a", kind)) for kind in KINDS] == [*KINDS]
    assert kind_of(AgentMetadata("a", "runtime-1")) == "runtime"
    assert kind_of(AgentMetadata("a", "runtime-1")) == "runtime"


def test_those_who_come_and_go_are_counted_once() -> None:
    scene = Scene("http://127.0.0.1:1", 60)

    scene.take(Listing(1, (record("a", "HTTP"),)))
    scene.take(Listing(2, (record("a", "HTTP"), record("b\x1b", "HTTP"))))
    scene.take(Change(3, "updated", "a", "crew", fields={"metadata": {}}))
    scene.take(Change(4, "updated", "a", "crew", fields={"status": "offline"}))
    scene.take(Change(5, "deregistered", "a", "crew", reason="deregistered"))
    scene.take(Change(6, "deregistered", "b\x1b", "crew", reason="died"))

    assert list(scene.news) == [
        "a has joined (HTTP)",
        "b\\x1b has joined (HTTP)",
        "a has left: stopped",
        "b\\x1b has left: died",
    ]
    assert scene.summary() == [("joined", "2 x HTTP"), ("left", "2"), ("tasks", "0 done")]


def test_the_picture_shows_who_is_there_and_what_has_happened() -> None:
    rich = pytest.importorskip("rich.console")
    from agentreg.demo.serving.live import LiveServing

    console = rich.Console(width=90, height=30, record=True, file=io.StringIO(), force_terminal=True)
    view = LiveServing(console)
    console.print(view.picture())
    scene = Scene("http://127.0.0.1:1", 60)
    scene.take(Listing(1, (record("errand-boy", "HTTP"),)))
    view.begin(scene)
    console.print(view.picture())

    text = console.export_text()
    assert "starting the service" in text
    assert "http://127.0.0.1:1/" in text
    assert "errand-boy has joined" in text
    assert "1 agent, 0 tasks done" in text
