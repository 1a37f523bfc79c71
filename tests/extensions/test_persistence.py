"""Persistence: what is written, what a bad file says, and what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import os
import pickle
import stat
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import Self

from agentreg import Agent, AgentPool, AgentRegistry, BaseAgent, ModelConfig
from agentreg.errors import RegistryError
from agentreg.extensions.persistence import (
    PersistenceMixin,
    PersistentRegistry,
    RestoreReport,
    StateFileAccessError,
    StateFileError,
)
from agentreg.testing import isolated_registry


@pytest.fixture(autouse=True)
def _isolated() -> Iterator[None]:
    with isolated_registry():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


# restoring looks for a name among all classes of the process: no other test has magpies


class Magpie(BaseAgent):
    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return prompt


class CarefulMagpie(Magpie):
    """Is set up asynchronously, and closed."""

    ready = False
    closed: list[str] = []  # noqa: RUF012

    @classmethod
    async def create_safe(cls, **kwargs: Any) -> Self:
        await asyncio.sleep(0)
        agent = cls(**kwargs)
        agent.ready = True
        return agent

    async def cleanup(self) -> None:
        CarefulMagpie.closed.append(self.name)


class NamelessMagpie(Magpie):
    """Its constructor takes nothing."""

    def __init__(self) -> None:
        super().__init__(goal="none of your business")


class FixedMagpie(Magpie):
    """Sets its goal itself, and passes the rest on."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, goal="fixed", **kwargs)


class OldMagpie(Magpie):
    """Calls its model a model_config."""

    def __init__(self, name: str, model_config: Any, description: str = "as ever") -> None:
        super().__init__(name, model=model_config, description=description)


def saved(path: Path) -> dict[str, Any]:
    PersistentRegistry.save_state(path)
    return PersistentRegistry.load_state(path)


def restore(state: Any, configs: Any = None, factories: Any = None) -> RestoreReport:
    return asyncio.run(PersistentRegistry.restore_agents(state, configs or {}, factories))


def state_of(**agents: Any) -> dict[str, Any]:
    return {"version": 1, "agents": agents}


def refused(path: Path, text: str | bytes) -> StateFileError:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StateFileError) as caught:
        PersistentRegistry.load_state(path)
    assert caught.value.path == str(path)
    return caught.value


# -- saving -----------------------------------------------------------------


def test_an_agent_is_described_by_its_type_texts_capabilities_tools_and_model(path: Path) -> None:
    def search() -> None: ...

    agent = Agent(
        "planner",
        description="a planner",
        goal="Plan",
        instruction="Step by step.",
        capabilities=["planning", "ordering"],
        tools=[search, "browse"],
        model_config=ModelConfig(type="api", provider="openrouter", name="anthropic/claude-opus-4.6"),
    )

    state = saved(path)

    assert agent.name in state["agents"]
    assert state["agents"] == {
        "planner": {
            "type": "Agent",
            "description": "a planner",
            "goal": "Plan",
            "instruction": "Step by step.",
            "capabilities": ["planning", "ordering"],
            "tools": ["search", "browse"],
            "model": "anthropic/claude-opus-4.6",
        }
    }


def test_a_state_says_its_version_and_when_it_was_saved_in_utc(path: Path) -> None:
    state = saved(path)

    assert list(state) == ["version", "timestamp", "agents", "pools"]
    assert state["version"] == 1
    assert datetime.fromisoformat(state["timestamp"]).utcoffset() == timedelta(0)


def test_an_object_that_has_nothing_is_described_as_empty(path: Path) -> None:
    class Stone: ...

    stone = Stone()
    AgentRegistry.register(stone, "stone")

    assert saved(path)["agents"]["stone"] == {
        "type": "Stone",
        "description": "",
        "goal": "",
        "instruction": "",
        "capabilities": [],
        "tools": [],
        "model": "unknown",
    }


@pytest.mark.parametrize("kind", [Mock, MagicMock])
def test_a_mock_can_be_saved(path: Path, kind: type[Any]) -> None:
    agent = kind()
    AgentRegistry.register(agent, "mock")

    state = saved(path)["agents"]["mock"]

    assert state.pop("type") == kind.__name__
    assert set(map(str, state.values())) == {"", "[]", "unknown"}


@pytest.mark.parametrize("value", [None, 7, 1.5, b"bytes", object(), {"a": object()}, float("nan")])
@pytest.mark.parametrize("field", ["description", "goal", "instruction", "capabilities", "tools", "model"])
def test_whatever_an_attribute_is_the_state_can_be_saved_and_loaded(path: Path, field: str, value: Any) -> None:
    agent = Magpie("odd")
    setattr(agent, field, value)

    state = saved(path)["agents"]["odd"]

    assert state[field] in ("", [], ["a"], "unknown")


def test_an_attribute_that_raises_is_saved_as_empty_with_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Shy:
        goal = "Hide"

        @property
        def description(self) -> str:
            raise RuntimeError("don't look")

    shy = Shy()
    AgentRegistry.register(shy, "shy")

    state = saved(path)["agents"]["shy"]

    assert (state["description"], state["goal"]) == ("", "Hide")
    assert "the description of a Shy is saved as empty: RuntimeError" in caplog.text


def test_tools_are_saved_by_their_names(path: Path) -> None:
    class Tool:
        def __init__(self, name: Any) -> None:
            self.name = name

    agents = [
        Magpie("mapping", tools={"search": print, "browse": print}),
        Magpie("objects", tools=[Tool("find"), Tool(7), functools.partial(print)]),
        Magpie("several"),
        Magpie("single"),
    ]
    agents[2].tools = {"b", "a"}  # type: ignore[assignment]
    agents[3].tools = "search"  # type: ignore[assignment]

    state = saved(path)["agents"]

    assert [state[agent.name]["tools"] for agent in agents] == [
        ["search", "browse"],
        ["find", "Tool", "partial"],
        ["a", "b"],
        ["search"],
    ]


def test_a_generator_is_not_used_up_by_saving(path: Path) -> None:
    agent = Magpie("lazy")
    agent.tools = iter(["search"])  # type: ignore[assignment]

    assert saved(path)["agents"]["lazy"]["tools"] == []

    assert list(agent.tools) == ["search"]


def test_texts_of_a_kind_of_their_own_are_saved_as_text(path: Path) -> None:
    class Loud(str):
        def __str__(self) -> str:
            return "LOUD"

    agent = Magpie("agent", description=Loud("quiet"), capabilities=[Loud("c")])

    state = saved(path)["agents"][agent.name]

    assert (state["description"], state["capabilities"]) == ("quiet", ["c"])


def test_the_members_of_a_pool_are_described_under_the_pool_only(path: Path) -> None:
    agent = Magpie("agent")
    pool = AgentPool(CarefulMagpie, 2, name="crew", goal="Help")
    AgentRegistry.register_pool(pool)

    state = saved(path)

    assert list(state["agents"]) == [agent.name]
    crew = state["pools"]["crew"]
    assert (crew["type"], crew["agent_type"], crew["num_instances"]) == ("AgentPool", "CarefulMagpie", 2)
    assert {name: member["goal"] for name, member in crew["members"].items()} == {"crew_0": "Help", "crew_1": "Help"}
    described = {*state["agents"], *crew["members"]}
    assert described == set(AgentRegistry.all())


def test_members_of_a_pool_that_is_not_registered_are_agents_like_any_other(path: Path) -> None:
    pool = AgentPool(Magpie, 2, name="crew")

    state = saved(path)

    assert list(state["agents"]) == ["crew_0", "crew_1"]
    assert state["pools"] == {}
    assert len(pool) == 2


def test_an_agent_that_leaves_before_its_turn_is_left_out(path: Path) -> None:
    other = Magpie("other")

    class Jealous:
        @property
        def description(self) -> str:
            AgentRegistry.unregister("other")
            return ""

    with isolated_registry():
        jealous = Jealous()
        AgentRegistry.register(jealous, "jealous")
        AgentRegistry.register(other, "other")

        assert list(saved(path)["agents"]) == ["jealous"]


def test_a_pool_that_leaves_before_its_turn_is_left_out(path: Path) -> None:
    class Jealous:
        @property
        def description(self) -> str:
            AgentRegistry.unregister_pool(pool)
            return ""

    jealous = Jealous()
    AgentRegistry.register(jealous, "jealous")
    pool = AgentPool(Magpie, 2, name="crew")
    AgentRegistry.register_pool(pool)

    state = saved(path)

    assert (list(state["agents"]), state["pools"]) == (["jealous"], {})


def test_saving_keeps_nobody_alive(path: Path) -> None:
    agent = Magpie("agent")
    saved(path)

    del agent

    assert AgentRegistry.get("agent") is None


def test_text_that_is_no_unicode_survives(path: Path) -> None:
    agent = Magpie("agent", description="half \ud83d of a pair, \u2028, \x00 and \U0001f600")

    assert saved(path)["agents"]["agent"]["description"] == agent.description


def test_the_file_is_readable_utf8_json_that_ends_with_a_line(path: Path) -> None:
    agent = Magpie("Übersetzer", goal="翻訳")
    PersistentRegistry.save_state(path)

    text = path.read_text("utf-8")

    assert agent.name in text
    assert "翻訳" in text
    assert text.endswith("}\n")


# -- the file ---------------------------------------------------------------


def test_a_path_may_be_text(path: Path) -> None:
    PersistentRegistry.save_state(str(path))

    assert PersistentRegistry.load_state(str(path))["agents"] == {}


def test_saving_leaves_nothing_but_the_file(path: Path) -> None:
    for _ in range(3):
        saved(path)

    assert os.listdir(path.parent) == ["state.json"]


def test_a_relative_path_is_meant_from_the_working_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)

    PersistentRegistry.save_state("state.json")

    assert path.exists()


posix = pytest.mark.skipif(os.name != "posix", reason="permissions and links are those of POSIX")


@posix
def test_a_new_file_has_the_usual_permissions(path: Path) -> None:
    before = os.umask(0o027)
    try:
        PersistentRegistry.save_state(path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@posix
@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_a_file_keeps_its_permissions(path: Path, mode: int) -> None:
    path.write_text("old")
    path.chmod(mode)

    PersistentRegistry.save_state(path)

    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_a_link_is_followed(path: Path) -> None:
    link = path.with_name("link.json")
    link.symlink_to(path)

    PersistentRegistry.save_state(link)

    assert link.is_symlink()
    assert not path.is_symlink()
    assert PersistentRegistry.load_state(path) == PersistentRegistry.load_state(link)


def test_the_file_and_then_its_folder_are_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        assert path.exists() is synced[-1]  # the file before it is in its place, the folder after
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)

    PersistentRegistry.save_state(path)

    assert synced == [False, True]


def test_a_full_disk_leaves_the_old_file_and_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved(path)
    agent = Magpie("agent")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StateFileAccessError, match="can't be written: No space left on device") as caught:
        PersistentRegistry.save_state(path)

    assert (caught.value.errno, caught.value.filename) == (28, str(path))
    assert PersistentRegistry.load_state(path) == before
    assert os.listdir(path.parent) == ["state.json"]
    assert agent.name == "agent"


@pytest.mark.parametrize("where", ["missing/state.json", "file/state.json", "folder", "x" * 300])
def test_a_path_that_can_not_be_written_is_named_with_the_way_out(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()

    with pytest.raises(StateFileAccessError) as caught:
        PersistentRegistry.save_state(tmp_path / where)

    assert str(caught.value).startswith(f"{tmp_path / where}: can't be written: ")
    assert str(caught.value).endswith("; save to a file in a folder that exists and that you may write to")
    assert isinstance(caught.value, OSError)
    assert caught.value.__cause__ is not None
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert os.listdir(tmp_path / "folder") == []


def test_two_that_save_at_the_same_time_leave_a_whole_file(path: Path) -> None:
    agents = [Magpie(f"agent {number}", description="x" * 1000) for number in range(20)]
    start = threading.Barrier(4)

    def save() -> None:
        start.wait(30)
        for _ in range(10):
            PersistentRegistry.save_state(path)

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with contextlib.suppress(StateFileAccessError):  # not there yet
            assert len(PersistentRegistry.load_state(path)["agents"]) == len(agents)
    for thread in threads:
        thread.join()

    assert os.listdir(path.parent) == ["state.json"]


def run(program: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)


SAVES = """
import sys
from agentreg import Agent
from agentreg.extensions.persistence import PersistentRegistry

def tell(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".tmp") and arguments[1] is None:
        print("saving", flush=True)

sys.addaudithook(tell)
agents = [Agent(f"agent {number}", description="x" * 20_000) for number in range(50)]
while True:
    PersistentRegistry.save_state(sys.argv[1])
"""


@posix
@pytest.mark.parametrize("saves", range(1, 7))
def test_a_program_that_is_killed_while_saving_leaves_a_whole_file(path: Path, saves: int) -> None:
    with run(SAVES, str(path)) as program:
        assert program.stdout is not None
        for _ in range(saves + 1):
            assert program.stdout.readline() == "saving\n"
        program.kill()

    assert len(PersistentRegistry.load_state(path)["agents"]) == 50


DIES = """
import itertools, os, sys
from agentreg import Agent
from agentreg.extensions.persistence import PersistentRegistry

def die_at(step):
    steps = itertools.count(1)
    def count(frame, event, function):
        if event == "c_call" and next(steps) == step:
            os._exit(9)
    sys.setprofile(count)

path = sys.argv[1]
PersistentRegistry.save_state(path)
agent = Agent("agent")
seen = []
for step in itertools.count(1):
    child = os.fork()
    if not child:
        die_at(step)
        PersistentRegistry.save_state(path)
        os._exit(0)
    survived = os.waitpid(child, 0)[1] == 0
    seen.append(len(PersistentRegistry.load_state(path)["agents"]))
    if survived:
        break
print(seen == sorted(seen), seen[0], seen[-1], len(seen) > 50)
"""


@posix
def test_wherever_a_program_dies_while_saving_the_file_is_the_old_or_the_new_one(path: Path) -> None:
    with run(DIES, str(path)) as program:
        output, _ = program.communicate(timeout=100)

    assert output == "True 0 1 True\n"


# -- loading ----------------------------------------------------------------


def test_a_missing_file_is_named_with_the_way_out(path: Path) -> None:
    with pytest.raises(StateFileAccessError) as caught:
        PersistentRegistry.load_state(path)

    assert str(caught.value) == (
        f"{path}: can't be read: No such file or directory; give the path of a file that save_state wrote"
    )
    assert isinstance(caught.value, OSError)


def test_a_folder_can_not_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(StateFileAccessError, match="can't be read"):
        PersistentRegistry.load_state(tmp_path)


def test_a_cut_off_file_is_refused_with_line_and_column(path: Path) -> None:
    agent = Magpie("agent")
    PersistentRegistry.save_state(path)
    text = path.read_text("utf-8")

    error = refused(path, text[: text.index('"goal"') + 3])

    assert agent.name == "agent"
    assert error.place == "8:7"
    assert error.cause.startswith("no JSON: Unterminated string")
    assert "cut off" in error.advice
    assert str(error) == f"{path}:8:7: {error.cause}; {error.advice}"
    assert isinstance(error, ValueError)
    assert isinstance(error, RegistryError)


def test_wherever_a_file_is_cut_off_it_is_refused(path: Path) -> None:
    agent = Magpie("Übersetzer", description="翻訳")
    PersistentRegistry.save_state(path)
    content = path.read_bytes().rstrip()

    for end in range(len(content)):
        refused(path, content[:end])

    assert agent.name == "Übersetzer"


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"[" * 100_000, b'{"version": ' + b"9" * 5000 + b"}", b'{"a": "\xc3"}', b"\x00" * 100],
)
def test_a_file_of_another_kind_is_refused(path: Path, content: bytes) -> None:
    assert "no JSON" in refused(path, content).cause or "version" in refused(path, content).cause


@pytest.mark.parametrize(
    ("text", "place", "cause"),
    [
        ("null", "", "expected an object, got nothing"),
        ("[]", "", "expected an object, got a list"),
        ("{}", "version", "expected a whole number from 1 up, got nothing"),
        ('{"name": "npm", "version": "1.0.0"}', "version", 'expected a whole number from 1 up, got "1.0.0"'),
        ('{"version": true}', "version", "expected a whole number from 1 up, got true"),
        ('{"version": 0}', "version", "expected a whole number from 1 up, got 0"),
        ('{"version": 1}', "agents", "expected an object, got nothing"),
        ('{"version": 1, "agents": []}', "agents", "expected an object, got a list"),
        ('{"version": 1, "agents": {"a.b": 7}}', 'agents["a.b"]', "expected an object, got 7"),
        ('{"version": 1, "agents": {"a": {}}}', 'agents["a"].type', "expected text, got nothing"),
        ('{"version": 1, "agents": {"a": {"type": 7}}}', 'agents["a"].type', "expected text, got 7"),
        (
            '{"version": 1, "agents": {"a": {"type": "A", "goal": {}}}}',
            'agents["a"].goal',
            "expected text, got an object",
        ),
        (
            '{"version": 1, "agents": {"a": {"type": "A", "model": null}}}',
            'agents["a"].model',
            "expected text, got nothing",
        ),
        (
            '{"version": 1, "agents": {"a": {"type": "A", "tools": "t"}}}',
            'agents["a"].tools',
            'expected a list, got "t"',
        ),
        (
            '{"version": 1, "agents": {"a": {"type": "A", "capabilities": ["c", []]}}}',
            'agents["a"].capabilities[1]',
            "expected text, got a list",
        ),
        ('{"version": 1, "agents": {}, "pools": 7}', "pools", "expected an object, got 7"),
        ('{"version": 1, "agents": {}, "pools": {"p": 7}}', 'pools["p"]', "expected an object, got 7"),
        (
            '{"version": 1, "agents": {}, "pools": {"p": {"members": {"m": {"type": 7}}}}}',
            'pools["p"].members["m"].type',
            "expected text, got 7",
        ),
    ],
)
def test_a_file_that_is_no_state_is_refused_with_the_place(path: Path, text: str, place: str, cause: str) -> None:
    error = refused(path, text)

    assert (error.place, error.cause) == (place, cause)
    assert "save the state again" in error.advice


def test_a_newer_file_is_refused_whatever_else_is_in_it(path: Path) -> None:
    error = refused(path, '{"version": 2, "agents": "somewhere else"}')

    assert error.place == "version"
    assert error.cause == "version 2 is newer than 1, the latest that this agentreg reads"
    assert error.advice.startswith("upgrade agentreg")


def test_what_a_file_has_besides_is_kept(path: Path) -> None:
    state = {"version": 1, "agents": {"a": {"type": "A", "mood": "good"}}, "note": "mine"}
    path.write_text(json.dumps(state))

    assert PersistentRegistry.load_state(path) == state


def test_a_byte_order_mark_is_no_obstacle(path: Path) -> None:
    PersistentRegistry.save_state(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert PersistentRegistry.load_state(path)["version"] == 1


def test_a_long_value_is_shown_shortened(path: Path) -> None:
    error = refused(path, json.dumps({"version": "x" * 100_000}))

    assert len(error.cause) < 1000


@pytest.mark.parametrize("kind", [StateFileError, StateFileAccessError])
def test_errors_can_be_pickled(kind: type[StateFileError]) -> None:
    error = pickle.loads(pickle.dumps(kind("state.json", "3:4", "no JSON", "look again")))

    assert type(error) is kind
    assert str(error) == "state.json:3:4: no JSON; look again"
    assert error.advice == "look again"


# -- restoring --------------------------------------------------------------


def test_restored_agents_have_their_names_texts_capabilities_and_models(path: Path) -> None:
    config = ModelConfig(name="some/model")
    first = Agent("planner", description="d", goal="g", instruction="i", capabilities=["c"], model=config)
    state = saved(path)
    AgentRegistry.unregister_instance(first)

    report = restore(state, {"some/model": config})

    agent = report.restored["planner"]
    assert AgentRegistry.get("planner") is agent
    assert agent is not first
    assert (agent.description, agent.goal, agent.instruction, agent.capabilities) == ("d", "g", "i", ("c",))
    assert agent.model is config
    assert (report.skipped, report.failed) == ({}, {})


def test_a_model_may_be_any_callable() -> None:
    report = restore(state_of(a={"type": "Agent", "model": "m"}), {"m": lambda messages: "pong"})

    assert asyncio.run(report.restored["a"].run("ping")) == "pong"


def test_dropping_the_report_lets_the_agents_go() -> None:
    report = restore(state_of(a={"type": "Magpie"}, b={"type": "CarefulMagpie"}))
    assert AgentRegistry.names() == ["a", "b"]

    del report

    assert AgentRegistry.names() == []


def test_a_class_with_create_safe_is_made_by_it() -> None:
    report = restore(state_of(a={"type": "CarefulMagpie", "goal": "Take care"}))

    assert report.restored["a"].ready
    assert report.restored["a"].goal == "Take care"


def test_a_subclass_is_found_by_its_name() -> None:
    class DeepMagpie(CarefulMagpie): ...

    report = restore(state_of(a={"type": "DeepMagpie"}))

    assert type(report.restored["a"]) is DeepMagpie


def test_an_unknown_type_fails_with_the_way_out() -> None:
    report = restore(state_of(a={"type": "Nowhere"}, b={"type": "Magpie"}))

    assert list(report.restored) == ["b"]
    assert "'Nowhere'" in report.failed["a"]
    assert "import its module" in report.failed["a"]
    assert "factories={'Nowhere': ...}" in report.failed["a"]


def test_a_name_that_several_classes_have_fails_with_their_modules() -> None:
    def another() -> type[BaseAgent]:
        class TwinMagpie(Magpie): ...

        return TwinMagpie

    class TwinMagpie(Magpie): ...

    twins = TwinMagpie, another()

    report = restore(state_of(a={"type": "TwinMagpie"}))

    assert report.restored == {}
    for twin in twins:
        assert f"{twin.__module__}.{twin.__qualname__}" in report.failed["a"]
    assert "factories={'TwinMagpie': ...}" in report.failed["a"]


def test_a_class_of_a_function_that_has_returned_is_no_rival() -> None:
    def another() -> weakref.ref[type[BaseAgent]]:
        class TwinMagpie(Magpie): ...

        return weakref.ref(TwinMagpie)

    lingering = another()
    if hasattr(sys, "_is_gil_enabled"):
        gc.collect()
        if lingering() is not None:
            pytest.skip("a free-threaded 3.13 keeps every class")

    class TwinMagpie(Magpie): ...

    assert type(restore(state_of(a={"type": "TwinMagpie"})).restored["a"]) is TwinMagpie


def test_of_a_class_that_was_defined_again_the_latest_is_made() -> None:
    def define() -> type[BaseAgent]:
        class AgainMagpie(Magpie): ...

        return AgainMagpie

    versions = [define() for _ in range(3)]

    assert type(restore(state_of(a={"type": "AgainMagpie"})).restored["a"]) is versions[-1]


def test_factories_come_first() -> None:
    class Other(Magpie): ...

    report = restore(state_of(a={"type": "Magpie"}, b={"type": "Agent"}), factories={"Magpie": Other, "Agent": Other})

    assert {type(agent) for agent in report.restored.values()} == {Other}


def test_a_factory_may_be_a_function_that_takes_what_it_wants() -> None:
    def make(name: str, goal: str) -> Magpie:
        return Magpie(name, goal=goal.upper())

    report = restore(state_of(a={"type": "X", "goal": "g", "description": "d", "model": "m"}), factories={"X": make})

    agent = report.restored["a"]
    assert (agent.goal, agent.description) == ("G", "")


def test_a_factory_may_be_async() -> None:
    make = functools.partial(CarefulMagpie.create_safe, instruction="Be careful.")

    report = restore(state_of(a={"type": "X"}), factories={"X": make})

    assert report.restored["a"].instruction == "Be careful."


def test_a_factory_may_give_any_object_that_can_be_registered() -> None:
    class Stone: ...

    factories = {"Stone": Stone, "Dict": dict, "None": lambda: None}
    report = restore(state_of(a={"type": "Stone"}, b={"type": "Dict"}, c={"type": "None"}), factories=factories)

    assert AgentRegistry.get("a") is report.restored["a"]
    assert "a dict can't be weakly referenced" in report.failed["b"]
    assert "a NoneType can't be weakly referenced" in report.failed["c"]


def test_an_existing_agent_that_a_factory_gives_keeps_its_own_name() -> None:
    shared = Magpie("shared")

    report = restore(state_of(a={"type": "X"}), factories={"X": lambda: shared})

    assert report.restored["a"] is shared
    assert (AgentRegistry.get("shared"), AgentRegistry.get("a"), shared.name) == (shared, shared, "shared")


def test_an_agent_that_can_be_awaited_is_not() -> None:
    class Task(Magpie):
        def __await__(self) -> Iterator[Any]:
            raise AssertionError("awaited")

    report = restore(state_of(a={"type": "X"}), factories={"X": type("Task", (Task,), {"create_safe": None})})

    assert list(report.restored) == ["a"]


def test_a_class_that_takes_no_name_is_renamed_without_a_trace_of_the_other() -> None:
    report = restore(state_of(a={"type": "NamelessMagpie", "goal": "g", "model": "m"}))

    agent = report.restored["a"]
    assert AgentRegistry.names() == ["a"]
    assert (agent.name, agent.goal) == ("a", "none of your business")


def test_what_a_constructor_does_not_take_is_not_passed() -> None:
    class NarrowMagpie(Magpie):
        def __init__(self, name: str, goal: str = "narrow") -> None:
            super().__init__(name, goal=goal, description="as ever")

    report = restore(state_of(a={"type": "NarrowMagpie", "goal": "wide", "description": "new", "capabilities": ["c"]}))

    agent = report.restored["a"]
    assert (agent.goal, agent.description, agent.capabilities) == ("wide", "as ever", ())


def test_a_constructor_may_call_the_model_a_model_config() -> None:
    report = restore(state_of(a={"type": "OldMagpie", "model": "m"}), {"m": "the model"})

    assert report.restored["a"].model == "the model"
    assert report.restored["a"].description == "as ever"


def test_a_missing_model_skips_the_agent_and_is_named() -> None:
    report = restore(
        state_of(a={"type": "Agent", "model": "some/model"}, b={"type": "Agent", "model": "other"}), {"other": print}
    )

    assert list(report.restored) == ["b"]
    assert report.skipped == {"a": "there is no model for it; pass model_configs={'some/model': ...}"}


def test_an_agent_that_was_saved_without_a_named_model_needs_none() -> None:
    report = restore(state_of(a={"type": "Agent", "model": "unknown"}, b={"type": "Agent"}))

    assert [agent.model for agent in report.restored.values()] == [None, None]


def test_a_model_may_be_given_for_those_without_a_named_one() -> None:
    report = restore(state_of(a={"type": "Agent", "model": "unknown"}), {"unknown": print})

    assert report.restored["a"].model is print


def test_a_class_that_takes_no_model_needs_none() -> None:
    class ModestMagpie(Magpie):
        def __init__(self, name: str) -> None:
            super().__init__(name, model=print)

    report = restore(state_of(a={"type": "ModestMagpie", "model": "some/model"}))

    assert report.restored["a"].model is print


def test_names_that_are_taken_are_skipped_and_never_replaced() -> None:
    agent = Magpie("agent")
    pool = AgentPool(Magpie, 1, name="crew")
    AgentRegistry.register_pool(pool)

    report = restore(state_of(agent={"type": "Magpie"}, crew={"type": "Magpie"}, crew_0={"type": "Magpie"}))

    assert list(report.skipped) == ["agent", "crew", "crew_0"]
    assert "is taken" in report.skipped["agent"]
    assert AgentRegistry.get("agent") is agent
    assert AgentRegistry.get("crew_0") is pool.instances[0]


def test_a_name_that_is_taken_while_the_agent_is_made_is_skipped() -> None:
    quicker: list[Magpie] = []

    class SlowMagpie(Magpie):
        @classmethod
        async def create_safe(cls, **kwargs: Any) -> Self:
            quicker.append(Magpie(kwargs["name"]))
            return cls(**kwargs)

    report = restore(state_of(a={"type": "SlowMagpie"}))

    assert list(report.skipped) == ["a"]
    assert AgentRegistry.get("a") is quicker[0]


def test_a_reserved_name_fails() -> None:
    AgentRegistry.reserved_names.add("user")

    report = restore(state_of(user={"type": "Magpie"}, other={"type": "Magpie"}))

    assert list(report.restored) == ["other"]
    assert "reserved" in report.failed["user"]


def test_one_that_fails_does_not_stop_the_rest_and_is_not_kept_alive() -> None:
    class BrokenMagpie(Magpie):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            raise RuntimeError("out of order")

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def mute() -> None:
        raise Mute

    report = restore(state_of(a={"type": "BrokenMagpie"}, b={"type": "X"}, c={"type": "Magpie"}), factories={"X": mute})

    assert list(report.restored) == ["c"]
    assert report.failed["a"].startswith("RuntimeError: out of order; factories={'BrokenMagpie': ...}")
    assert report.failed["b"].startswith("Mute: ")
    assert AgentRegistry.names() == ["c"]


def test_a_class_that_sets_a_text_itself_fails_and_says_how_it_can_be_made() -> None:
    state = state_of(a={"type": "FixedMagpie", "goal": "saved"})

    assert "multiple values for keyword argument 'goal'" in restore(state).failed["a"]
    assert restore(state, factories={"FixedMagpie": lambda name: FixedMagpie(name)}).restored["a"].goal == "fixed"


def test_an_agent_that_can_not_have_its_name_is_cleaned_up_and_leaves() -> None:
    class StubbornMagpie(NamelessMagpie):
        closed = False

        def __init__(self) -> None:
            super().__init__()
            made.append(self)

        def __setattr__(self, key: str, value: Any) -> None:
            if value == "a":
                raise AttributeError("my name is my own")
            super().__setattr__(key, value)

        async def cleanup(self) -> None:
            self.closed = True

    made: list[StubbornMagpie] = []

    report = restore(state_of(a={"type": "StubbornMagpie"}))

    assert report.failed["a"].startswith("AttributeError: my name is my own")
    assert made[0].closed
    assert AgentRegistry.names() == []


def test_cancelling_cleans_up_and_unregisters_what_was_made(caplog: pytest.LogCaptureFixture) -> None:
    CarefulMagpie.closed.clear()
    waiting: list[str] = []

    class StickyMagpie(CarefulMagpie):
        async def cleanup(self) -> None:
            raise RuntimeError("stuck")

    async def slow(name: str) -> Magpie:
        waiting.append(name)
        await asyncio.Event().wait()
        raise AssertionError

    state = state_of(
        a={"type": "CarefulMagpie"}, b={"type": "StickyMagpie"}, c={"type": "Slow"}, d={"type": "CarefulMagpie"}
    )

    async def main() -> None:
        restoring = asyncio.ensure_future(PersistentRegistry.restore_agents(state, {}, {"Slow": slow}))
        while not waiting:
            await asyncio.sleep(0)
        assert AgentRegistry.names() == ["a", "b"]
        restoring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await restoring

    asyncio.run(main())

    assert CarefulMagpie.closed == ["a"]
    assert AgentRegistry.names() == []
    assert "the clean-up of a StickyMagpie failed" in caplog.text


def test_pools_are_reported_as_skipped(path: Path) -> None:
    pool = AgentPool(Magpie, 2, name="crew")
    AgentRegistry.register_pool(pool)
    state = saved(path)

    with isolated_registry():
        report = restore(state)

        assert report.restored == {}
        assert "create_agent_pool" in report.skipped["crew"]
        assert AgentRegistry.names() == []


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {},
        {"version": 2, "agents": {}},
        {"version": "1", "agents": {}},
        {"agents": {"a": {"type": "Magpie"}, "b": {"type": 7}}},
        {"agents": {"a": {"type": "Magpie"}, 7: {"type": "Magpie"}}},
        {"agents": {"a": {"type": "Magpie"}, "b": {"type": "Magpie", "goal": object()}}},
        {"agents": {"a": {"type": "Magpie"}}, "pools": []},
    ],
)
def test_a_malformed_state_is_refused_before_anything_is_made(state: Any) -> None:
    def make(name: str) -> Magpie:
        raise AssertionError("made")

    with pytest.raises(StateFileError, match=r"^the state to restore"):
        restore(state, factories={"Magpie": make})


def test_a_state_made_by_hand_may_lack_all_but_the_types() -> None:
    assert list(restore({"agents": {"a": {"type": "Magpie"}}}).restored) == ["a"]


# -- round trips ------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["\ud800", '"\\\n', "\u2028", "null"])
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.isprintable)
described = st.fixed_dictionaries(
    {
        "description": texts,
        "goal": texts,
        "instruction": texts,
        "capabilities": st.lists(texts.filter(bool), max_size=3),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names, st.tuples(st.sampled_from([Agent, Magpie, CarefulMagpie]), described, texts), max_size=5))
def test_what_is_saved_loaded_restored_and_saved_again_is_the_same(
    tmp_path: Path, agents: dict[str, tuple[type[BaseAgent], dict[str, Any], str]]
) -> None:
    configs = {model: ModelConfig(name=model) for _, _, model in agents.values()}
    with isolated_registry():
        kept = [kind(name, model=configs[model], **fields) for name, (kind, fields, model) in agents.items()]
        first = saved(tmp_path / "first.json")
        assert list(first["agents"]) == [agent.name for agent in kept]

    with isolated_registry():
        report = restore(first, configs)
        second = saved(tmp_path / "second.json")

    assert (report.skipped, report.failed) == ({}, {})
    assert second["agents"] == first["agents"]
    for name, (kind, fields, _) in agents.items():
        agent = report.restored[name]
        assert type(agent) is kind
        assert {**fields, "capabilities": tuple(fields["capabilities"])} == {key: getattr(agent, key) for key in fields}


# -- as it is used ----------------------------------------------------------


def test_the_persistence_of_the_handbook_works(path: Path) -> None:
    class BrowserAgent(Agent):
        headless = False

        @classmethod
        async def create_safe(cls, *, headless: bool = False, **kwargs: Any) -> Self:
            agent = cls(**kwargs)
            agent.headless = headless
            return agent

    model_configs = {
        "anthropic/claude-opus-4.6": ModelConfig(
            type="api", provider="openrouter", name="anthropic/claude-opus-4.6", max_tokens=12000
        )
    }
    config = model_configs["anthropic/claude-opus-4.6"]
    agents = [
        Agent(name="assistant", model_config=config, goal="Help", instruction="Respond clearly."),
        BrowserAgent(name="browser", model_config=config),
    ]
    PersistentRegistry.save_state(str(path))
    for agent in agents:
        AgentRegistry.unregister_instance(agent)

    state = PersistentRegistry.load_state(str(path))
    headless = {"BrowserAgent": functools.partial(BrowserAgent.create_safe, headless=True)}
    report = restore(state, model_configs, headless)

    assert {name: type(agent).__name__ for name, agent in AgentRegistry.all().items()} == {
        "assistant": "Agent",
        "browser": "BrowserAgent",
    }
    assert report.restored["assistant"].goal == "Help"
    assert report.restored["browser"].headless


def test_a_registry_of_ones_own_takes_the_mixin(path: Path) -> None:
    class MyRegistry(PersistenceMixin, AgentRegistry): ...

    agent = Magpie("agent")
    MyRegistry.save_state(path)

    assert list(MyRegistry.load_state(path)["agents"]) == [agent.name]


def test_the_garbage_of_restoring_is_nobody() -> None:
    state = state_of(a={"type": "Magpie"}, b={"type": "FixedMagpie", "goal": "g"}, c={"type": "Nowhere"})
    gc.disable()
    try:
        restore(state)
        assert AgentRegistry.names() == []
    finally:
        gc.enable()
