"""Sizes: `agentreg.extensions.resources.sizes`, and what else a request consists of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentreg.extensions.resources import ResourceError, ResourceManager, SizeError, format_size, parse_size

GB = 1 << 30


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64GB", 64 * GB),
        ("64 gib", 64 * GB),
        ("64g", 64 * GB),
        ("1024mb", GB),
        ("1.5 GiB", 3 * GB // 2),
        ("512 KiB", 512 * 1024),
        (" 7 ", 7),
        ("7b", 7),
        (".5k", 512),
        ("2TB", 2048 * GB),
        ("1PiB", 1 << 50),
        (4096, 4096),
        (0, 0),
        (1.5, 2),
        ("0.3b", 1),
    ],
)
def test_a_size_is_bytes_or_text_with_a_unit(text: Any, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "bad",
    [
        *("", "GB", "a lot", "-1GB", "1e9", "1.2.3MB", "1 GB 2", "nan", "inf", "1xb", "٣GB", "1,024"),
        *("9" * 100, "9000000PB", -1, 1 << 63, float("nan"), float("inf"), -0.5, True, None, [], b"1GB"),
    ],
)
def test_anything_else_is_refused_with_what_came_and_the_forms_that_are_accepted(bad: Any) -> None:
    with pytest.raises(SizeError) as caught:
        parse_size(bad, "memory")

    text = str(caught.value)
    assert text.startswith("memory: ")
    assert repr(bad)[:50] in text
    assert all(form in text for form in ("512 KiB", "1024mb", "1.5 GiB", "64GB"))
    assert isinstance(caught.value, (ValueError, ResourceError))


def test_an_object_whose_repr_fails_is_refused_like_any_other() -> None:
    class Sulky:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(SizeError, match="test_sizes"):
        parse_size(Sulky())  # type: ignore[arg-type]


@given(st.integers(0, (1 << 63) - 1))
def test_a_size_in_bytes_is_read_as_it_is(size: int) -> None:
    assert parse_size(size) == parse_size(str(size)) == parse_size(f"{size}B") == size


@given(st.integers(0, 1 << 60))
def test_a_formatted_size_is_read_as_nearly_the_same(size: int) -> None:
    assert parse_size(format_size(size).replace("EB", "000PB")) == pytest.approx(size, rel=0.03)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (1000, "0.977KB"), (1 << 20, "1MB"), (1023 << 20, "0.999GB"), (1 << 60, "1EB")],
)
def test_a_size_is_shown_with_three_digits(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"memory": "much"}, "memory: 'much' is no size"),
        ({"memory": True}, "memory: True is no size"),
        ({"priority": "high"}, "priority: expected one of 'critical', 'important', 'normal', 'low', got 'high'"),
        ({"priority": []}, "priority: expected one of"),
        ({"tasks": -1}, "tasks: expected a whole number from 0 up, got -1"),
        ({"tasks": 1.5}, "tasks: expected a whole number"),
        ({"cpu": -1}, "cpu: expected a number of cores"),
        ({"cpu": float("nan")}, "cpu: expected a number of cores"),
        ({"cpu": True}, "cpu: expected a number of cores"),
        ({"owner": ""}, "owner: expected some text"),
        ({"host": "x"}, "there is no host 'x' (known: 'local')"),
    ],
)
def test_a_bad_argument_is_refused_by_name_and_leaves_nothing_behind(arguments: Any, said: str) -> None:
    manager = ResourceManager()

    with pytest.raises((ValueError, LookupError)) as caught:
        manager.allocate("ann", **arguments)

    assert said in str(caught.value)
    assert manager.get("ann") is None
    assert manager.utilization().total.allocations == 0


@pytest.mark.parametrize("agent", [None, 3, b"ann", object()])
def test_an_agent_without_a_name_is_refused(agent: Any) -> None:
    with pytest.raises(TypeError, match="agent: expected a name"):
        ResourceManager().allocate(agent)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"total_memory": "x"}, "total_memory: 'x' is no size"),
        ({"reserved": "64GB"}, "leave nothing for agents"),
        ({"total_memory": "4GB"}, "reserved: 8GB of 4GB"),
        ({"strategy": "worst"}, "strategy: expected 'best_fit_decreasing', got 'worst'"),
        ({"fragmentation_threshold": 10}, "fragmentation_threshold: expected a number from 0 to 1"),
        ({"fragmentation_threshold": float("nan")}, "fragmentation_threshold"),
        ({"cpu": "many"}, "cpu: expected a number of cores"),
        ({"hosts": {}}, "hosts: expected a mapping"),
        ({"hosts": {"a": {"disk": 1}}}, "host 'a': unknown 'disk'; expected memory, reserved, cpu"),
        ({"hosts": {"a": "x"}}, "host 'a': memory: 'x' is no size"),
        ({"hosts": {"a": {"memory": 5, "reserved": 5}}}, "host 'a': reserved: 5B of 5B leave nothing"),
        ({"ageing": 0}, "ageing: expected a finite number above 0"),
        ({"weights": {"red": 0}}, "weight of 'red'"),
    ],
)
def test_a_bad_option_is_refused_by_name(options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r"expected|size|leave") as caught:
        ResourceManager(**options)

    assert said in str(caught.value)
