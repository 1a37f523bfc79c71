"""Five thousand agents on the page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..serving import Service, serving
from .crowd import enter, record
from .watching import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Locator

COUNT = 5_000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    workspace: Path = tmp_path_factory.mktemp("crowd")
    with serving(workspace) as service:
        enter(service, [record(number) for number in range(COUNT)])
        yield service


@pytest.fixture
def page(crowd: Service, watched: Watched) -> Watched:
    from playwright.sync_api import expect

    watched.open(crowd.url)
    expect(watched.page.get_by_role("grid")).to_have_attribute("aria-rowcount", "5001")
    return watched


def sort_by(page: Watched, column: str) -> Locator:
    page.page.locator(f"th[data-column={column}] button").click()
    return page.page.locator(f"th[data-column={column}]")


def wait_for_first(page: Watched, name: str) -> None:
    from playwright.sync_api import expect

    expect(page.page.locator("#row-0 td[data-column=name] a")).to_have_text(name)


def rows(page: Watched) -> int:
    return int(page.page.locator("[role=grid]").get_attribute("aria-rowcount") or 0) - 1


def test_only_rows_that_can_be_seen_are_in_the_document(page: Watched) -> None:
    from playwright.sync_api import expect

    assert 10 < len(page.names()) < 60
    page.page.locator(".table").evaluate("(table) => table.scrollTo(0, 2500 * 40)")

    expect(page.page.locator("#row-2500")).to_have_attribute("aria-rowindex", "2502")
    expect(page.page.locator("#row-2500 td[data-column=name] a")).to_have_text("walker-2499")  # the newest first
    assert 10 < len(page.names()) < 60


def test_rows_stay_in_order_however_one_scrolls(page: Watched) -> None:
    from playwright.sync_api import expect

    for top in (1, 4, 3, 20, 60, 45, 2000, 1990, 4999, 4970, 0):
        page.page.locator(".table").evaluate("(table, top) => table.scrollTo(0, top * 40)", top)
        expect(page.page.locator(f"#row-{min(top, 4980)}")).to_have_count(1)

        end = time.monotonic() + 10
        while not in_order(page):  # rows are made in slices
            assert time.monotonic() < end, page.names()
            page.page.wait_for_timeout(10)


def in_order(page: Watched) -> bool:
    numbers = [int(name.removeprefix("walker-")) for name in page.names()]
    ids = page.page.locator("tr.row").evaluate_all("(rows) => rows.map((row) => row.id)")
    down = list(range(numbers[0], numbers[0] - len(numbers), -1))
    return numbers == down and ids == [f"row-{4999 - number}" for number in numbers]


def test_each_column_sorts_both_ways_and_says_so(page: Watched) -> None:
    from playwright.sync_api import expect

    expect(sort_by(page, "name")).to_have_attribute("aria-sort", "ascending")
    wait_for_first(page, "walker-0")
    assert page.names()[:12] == [f"walker-{number}" for number in range(12)]  # by number, not by letter
    expect(sort_by(page, "name")).to_have_attribute("aria-sort", "descending")
    wait_for_first(page, "walker-4999")

    for column, first in [("tasks", "walker-9"), ("load", "walker-9"), ("runtime", "walker-0"), ("host", "walker-0")]:
        sort_by(page, column)
        wait_for_first(page, first)
    for column, first in [("cwd", "walker-0"), ("status", "walker-3"), ("age", "walker-4999")]:
        expect(sort_by(page, column)).to_have_attribute("aria-sort", "ascending")
        wait_for_first(page, first)
        expect(page.page.locator("th:not([aria-sort=none])")).to_have_count(1)


def test_statuses_runtime_and_search_narrow_it_down_together(page: Watched) -> None:
    from playwright.sync_api import expect

    result = page.page.locator(".result")
    page.page.locator(".chip[data-status=idle]").click()
    expect(result).to_have_text("1,250 of 5,000 agents")
    expect(page.page.locator(".chip[data-status=idle]")).to_have_attribute("aria-pressed", "true")
    page.page.locator(".chip[data-status=error]").click()
    expect(result).to_have_text("2,500 of 5,000 agents")
    page.page.locator("#runtime").select_option("crew-1")
    expect(result).to_have_text("500 of 5,000 agents")
    page.page.locator("#search").fill("WALKER-49 host-2")
    wanted = [n for n in range(COUNT) if n % 4 in (1, 3) and n % 5 == 1 and str(n).startswith("49") and n % 3 == 2]
    expect(result).to_have_text(f"{len(wanted)} of 5,000 agents")

    assert sorted(page.names()) == sorted(f"walker-{number}" for number in wanted)
    assert rows(page) == len(wanted)

    page.page.locator("#search").fill("nobody like this")
    expect(page.page.get_by_text("No agent matches")).to_be_visible()
    page.page.get_by_role("button", name="Clear").click()
    expect(result).to_have_text("5,000 agents")


def test_keys_move_through_the_whole_table(page: Watched) -> None:
    from playwright.sync_api import expect

    grid, table = page.page.get_by_role("grid"), page.page.locator(".table")

    def press(key: str, row: str) -> None:
        grid.press(key)
        expect(grid).to_have_attribute("aria-activedescendant", re.compile(f"row-{row}$"))

    grid.focus()
    press("ArrowDown", "0")
    press("ArrowDown", "1")
    press("ArrowUp", "0")
    press("PageDown", r"(\d|1\d)")
    press("End", "4999")
    expect(page.page.locator("#row-4999")).to_have_attribute("aria-selected", "true")
    expect(page.page.locator("#row-4999")).to_be_in_viewport(ratio=0.95)
    bottoms = [each.evaluate("(each) => each.getBoundingClientRect().bottom") for each in (grid, table)]
    assert bottoms[0] <= bottoms[1] + 1
    press("PageUp", r"49[789]\d")
    press("Home", "0")
    expect(page.page.locator("#row-0")).to_be_in_viewport(ratio=0.95)


def test_a_change_shows_in_its_row_while_the_rest_stays(page: Watched, crowd: Service) -> None:
    from playwright.sync_api import expect

    page.page.locator("#search").fill("walker-4321")
    expect(page.page.locator("tr.row")).to_have_count(1)
    token = "token-4321"

    item = {"agent_id": "id-4321", "token": token, "fields": {"resources": {"active_tasks": 7}}}
    assert crowd.ask("POST", "/registry/records:patch", {"items": [item]})[0] == 200

    expect(page.page.locator("tr.row td[data-column=tasks]")).to_have_text("7 / 10")
    expect(page.page.locator("tr.row td[data-column=load]")).to_have_text("70 %")
