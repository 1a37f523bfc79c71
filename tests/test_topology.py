"""Topology: every way to write one, and every way to get it wrong."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from agentreg import RegistryError, Topology, TopologyError

DIAMOND = Topology(
    ["scout", "left", "right", "writer"],
    [("scout", "left"), ("scout", "right"), ("left", "writer"), ("right", "writer")],
)


# -- the forms --------------------------------------------------------------


def test_nodes_and_edges_are_kept_in_order() -> None:
    assert DIAMOND.nodes == ("scout", "left", "right", "writer")
    assert DIAMOND.edges == (("scout", "left"), ("scout", "right"), ("left", "writer"), ("right", "writer"))


@pytest.mark.parametrize(
    "topology",
    [
        DIAMOND,
        {"agents": list(DIAMOND.nodes), "flows": list(DIAMOND.edges)},
        {"nodes": DIAMOND.nodes, "edges": DIAMOND.edges},
        {"agents": DIAMOND.nodes, "edges": [list(edge) for edge in DIAMOND.edges]},
        {"nodes": DIAMOND.nodes, "flows": [" -> ".join(edge) for edge in DIAMOND.edges]},
        {"nodes": iter(DIAMOND.nodes), "flows": iter(DIAMOND.edges)},
        {"agents": DIAMOND.nodes, "flows": ["scout->left->writer", "scout  ->  right", "right -> writer"]},
    ],
    ids=["topology", "agents, flows", "nodes, edges", "lists", "texts", "iterators", "chains"],
)
def test_a_topology_may_be_written_in_many_ways(topology: Any) -> None:
    read = Topology.of(topology)

    assert read.nodes == DIAMOND.nodes
    assert set(read.edges) == set(DIAMOND.edges)


def test_a_list_of_names_is_a_pipeline() -> None:
    assert Topology.of(["a", "b", "c"]) == Topology(["a", "b", "c"], [("a", "b"), ("b", "c")])
    assert Topology.of(("a", "b")) == Topology(["a", "b"], [("a", "b")])
    assert Topology.of(["a"]) == Topology(["a"])


def test_a_dict_without_arrows_has_independent_nodes() -> None:
    assert Topology.of({"agents": ["a", "b"]}) == Topology(["a", "b"], [])
    assert Topology.of({"nodes": ["a", "b"], "edges": []}).sinks() == ("a", "b")


def test_a_chain_is_several_arrows() -> None:
    assert Topology(["a", "b", "c"], ["a -> b -> c"]).edges == (("a", "b"), ("b", "c"))


def test_an_arrow_that_is_written_twice_counts_once() -> None:
    assert Topology(["a", "b", "c"], ["a -> b", ("a", "b"), "a->b->c"]).edges == (("a", "b"), ("b", "c"))


def test_names_with_spaces_and_arrows_can_be_written_as_pairs() -> None:
    topology = Topology(["big brother", "a->b"], [("big brother", "a->b")])

    assert topology.predecessors("a->b") == ("big brother",)


def test_a_topology_stays_as_it_is_and_can_be_compared() -> None:
    assert Topology.of(DIAMOND) is DIAMOND
    with pytest.raises(dataclasses.FrozenInstanceError):
        DIAMOND.nodes = ()  # type: ignore[misc]
    assert Topology(["a", "b"], ["a -> b"]) == Topology(["a", "b"], [("a", "b")])
    assert Topology(["a", "b"], ["a -> b"]) != Topology(["a", "b"], ["b -> a"])
    assert hash(Topology(["a"])) == hash(Topology(["a"]))


# -- looking ----------------------------------------------------------------


def test_predecessors_come_in_the_order_of_the_arrows() -> None:
    topology = Topology(["a", "b", "c"], ["b -> c", "a -> c"])

    assert topology.predecessors("c") == ("b", "a")
    assert topology.predecessors("a") == ()


def test_sinks_are_the_nodes_that_hand_on_to_nobody() -> None:
    assert DIAMOND.sinks() == ("writer",)
    assert Topology(["a", "b", "c"], ["a -> c"]).sinks() == ("b", "c")


def test_a_node_is_given_once_all_before_it_are_done() -> None:
    sorter = DIAMOND.sorter()

    assert sorter.get_ready() == ("scout",)
    sorter.done("scout")
    assert set(sorter.get_ready()) == {"left", "right"}
    sorter.done("left")
    assert sorter.get_ready() == ()
    sorter.done("right")
    assert sorter.get_ready() == ("writer",)


# -- what is wrong ----------------------------------------------------------


@pytest.mark.parametrize(
    "arrow",
    [
        "a",
        "",
        "->",
        "a ->",
        "-> b",
        "a -> -> b",
        "a -> b ->",
        "a => b",
        "a - > b",
        ("a",),
        ("a", "b", "c"),
        ("a", ""),
        ("a", 2),
        (),
        None,
        7,
        b"a -> b",
        {"a": "b"},
        {"a"},
    ],
    ids=repr,
)
def test_a_malformed_arrow_is_quoted(arrow: Any) -> None:
    with pytest.raises(TopologyError, match=rf"malformed arrow {re.escape(repr(arrow))}; write 'A -> B'"):
        Topology(["a", "b"], ["a -> b", arrow])


@pytest.mark.parametrize("form", ["flows", "edges"])
def test_a_malformed_arrow_in_a_dict_is_quoted(form: str) -> None:
    with pytest.raises(TopologyError, match="malformed arrow 'a => b'"):
        Topology.of({"agents": ["a", "b"], form: ["a => b"]})


@pytest.mark.parametrize(("arrow", "stranger"), [("a -> c", "c"), ("c -> a", "c"), ("a -> b -> d", "d")])
def test_an_arrow_to_a_name_that_is_no_node_names_both(arrow: str, stranger: str) -> None:
    with pytest.raises(TopologyError, match=rf"the arrow \w -> \w names '{stranger}', which is no node"):
        Topology(["a", "b"], [arrow])


@pytest.mark.parametrize(
    ("arrows", "cycles"),
    [
        (["a -> a"], ["a -> a"]),
        (["a -> b", "b -> a"], ["a -> b -> a", "b -> a -> b"]),
        (["a -> b -> c -> a"], ["a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"]),
        (["d -> a", "a -> b -> c -> a"], ["a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"]),
        (["a -> b -> c", "c -> b"], ["b -> c -> b", "c -> b -> c"]),
    ],
    ids=str,
)
def test_a_cycle_is_named_along_its_arrows(arrows: list[str], cycles: list[str]) -> None:
    with pytest.raises(TopologyError) as caught:
        Topology(["a", "b", "c", "d"], arrows)

    assert str(caught.value).removeprefix("topology: it must not have a cycle, and has ") in cycles


@pytest.mark.parametrize("nodes", [[], (), {}, iter(())], ids=["list", "tuple", "dict", "iterator"])
def test_a_topology_without_nodes_is_refused(nodes: Any) -> None:
    with pytest.raises(TopologyError, match="it has no node"):
        Topology(nodes)


def test_an_empty_pipeline_is_refused() -> None:
    with pytest.raises(TopologyError, match="it has no node"):
        Topology.of([])


@pytest.mark.parametrize("node", ["", None, 7, ("a",), b"a"], ids=repr)
def test_a_node_that_is_no_name_is_quoted(node: Any) -> None:
    with pytest.raises(TopologyError, match=rf"a node must be a name, got {re.escape(repr(node))}"):
        Topology(["a", node])
    with pytest.raises(TopologyError, match=rf"a node must be a name, got {re.escape(repr(node))}"):
        Topology.of(["a", node])


def test_a_node_that_is_named_twice_is_refused() -> None:
    with pytest.raises(TopologyError, match="the node 'a' is named twice"):
        Topology(["a", "b", "a"])
    with pytest.raises(TopologyError, match="the node 'a' is named twice"):
        Topology.of(["a", "b", "a"])


@pytest.mark.parametrize("wrong", ["abc", 7, None], ids=repr)
def test_nodes_that_are_no_list_are_quoted(wrong: Any) -> None:
    with pytest.raises(TopologyError, match=f"nodes must be a list, got {wrong!r}"):
        Topology(wrong)
    with pytest.raises(TopologyError, match=f"nodes must be a list, got {wrong!r}"):
        Topology.of(wrong)


@pytest.mark.parametrize("wrong", ["a -> b", 7, None], ids=repr)
def test_edges_that_are_no_list_are_quoted(wrong: Any) -> None:
    with pytest.raises(TopologyError, match=f"edges must be a list, got {wrong!r}"):
        Topology(["a", "b"], wrong)


def test_an_unknown_key_is_quoted_beside_those_that_are_known() -> None:
    with pytest.raises(TopologyError, match=r"unknown key 'arrows'; expected agents \(or nodes\), flows \(or edges\)"):
        Topology.of({"agents": ["a"], "arrows": []})


def test_a_dict_that_names_no_agents_is_refused() -> None:
    with pytest.raises(TopologyError, match="no 'agents'"):
        Topology.of({"flows": ["a -> b"]})


@pytest.mark.parametrize(
    "topology",
    [
        {"agents": ["a"], "nodes": ["a", "b"]},
        {"agents": ["a", "b"], "flows": ["a -> b"], "edges": ["b -> a"]},
    ],
    ids=str,
)
def test_two_words_for_one_thing_are_refused_rather_than_one_ignored(topology: Any) -> None:
    with pytest.raises(TopologyError):
        Topology.of(topology)


def test_a_topology_error_is_a_value_error_of_the_registry() -> None:
    assert issubclass(TopologyError, ValueError)
    assert issubclass(TopologyError, RegistryError)
