"""Who has which part of the memory, and what was decided, on the page."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..serving import Service
from .operating import operating
from .watching import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Locator

CROWD = 4_462
HOSTS = {"atlas": "20GB", "borealis": "16GB"}
ASKED = [(10, 3), (8, 6), (5, 9), (5, 4), (2, 2), (5, 13)]  # priority and GB: there is no room for the last
_CELLS = """(cells) => cells.map((cell) => {
    const { width, height } = cell.querySelector("rect");
    return [cell.dataset.id, cell.dataset.kind, width.baseVal.value * height.baseVal.value];
})"""
PRIORITIES = "critical", "important", "normal", "low"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two hosts, five agents with a share of them, and one that waits."""
    workspace: Path = tmp_path_factory.mktemp("office")
    with operating(workspace, {"hosts": HOSTS, "unique_names": "ask", "interval": 1}) as service:
        for number, (priority, memory) in enumerate(ASKED):
            config = {"resource_limit": f"{memory}gb", "priority": priority}
            body = {"agent_id": f"id-{number}", "name": f"walker-{number}", "config": config}
            assert service.ask("POST", "/registry/agents", body)[0] == 201
        yield service


def host(watched: Watched, name: str) -> Locator:
    heading = watched.page.get_by_role("heading", name=name, exact=True)
    return watched.page.locator(".host").filter(has=heading)


def part(watched: Watched, view: str, title: str) -> Locator:
    heading = watched.page.get_by_role("heading", name=title, exact=True)
    return watched.page.locator(f"#{view} .part").filter(has=heading)


def told(service: Service) -> dict[str, Any]:
    return dict(service.ask("GET", "/registry/resources")[1])


def test_each_host_shows_who_has_what_in_a_picture_and_in_words(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.open(office.url, "resources")
    hosts = {each["name"]: each for each in told(office)["hosts"]}
    expect(watched.page.locator(".host")).to_have_count(2)

    for name, each in hosts.items():
        cells = host(watched, name).locator(".cell:not([data-kind=free])")
        expect(cells).to_have_count(len(each["allocations"]))
        shown = cells.evaluate_all(_CELLS)
        assert {one: kind for one, kind, _ in shown} == {
            one["agent_id"]: one["priority"] for one in each["allocations"]
        }
        picture = host(watched, name).locator("svg")
        expect(picture).to_have_attribute("aria-label", re.compile(rf"^Memory of {name}: .* free\.$"))
        sizes = {one["agent_id"]: one["memory"] for one in each["allocations"]}
        shares = [area / sizes[one] for one, _, area in shown]
        assert max(shares) < 1.25 * min(shares)  # as large as they are, but for the lines between them


def test_the_table_says_the_same_and_leads_to_the_agents(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.open(office.url, "resources")
    for each in told(office)["hosts"]:
        shown = host(watched, each["name"])
        shown.locator("summary").press("Enter")
        sizes = sorted((one["memory"] for one in each["allocations"]), reverse=True)
        expect(shown.locator("tbody tr td:nth-child(2)")).to_have_text([f"{size >> 30} GB" for size in sizes])
    watched.page.locator(".host tbody a").filter(has_text="walker-0").click()
    expect(watched.page.locator(".detail h2")).to_have_text("walker-0")
    watched.page.goto(f"{office.url}/#/resources")
    watched.page.locator(".cell[data-id=id-1]").click()
    expect(watched.page.locator(".detail h2")).to_have_text("walker-1")


def test_who_waits_is_listed_until_there_is_room(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.open(office.url, "resources")
    waiting = part(watched, "resources", "Waiting")
    assert [each["agent_id"] for each in told(office)["waiting"]] == ["id-5"]
    expect(waiting.locator("li")).to_contain_text("walker-5")
    expect(waiting.locator("li")).to_contain_text("13 GB")
    expect(waiting.get_by_role("link")).to_have_attribute("href", "#/agents/id-5")

    assert office.ask("DELETE", "/registry/agents/id-2?force=true")[0] == 200

    expect(waiting).to_contain_text("Nobody waits.")
    expect(watched.page.locator(".cell[data-id=id-5]")).to_have_count(1)
    expect(watched.page.locator(".cell[data-id=id-2]")).to_have_count(0)


def test_a_question_is_answered_with_a_button_and_the_answer_is_on_record(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    page = watched.page
    watched.open(office.url, "decisions")
    expect(part(watched, "decisions", "Pending")).to_contain_text("Nothing is pending")
    answers: list[Any] = []

    def register() -> None:
        answers.append(office.ask("POST", "/registry/agents", {"agent_id": "twin", "name": "walker-0"}))

    asking = threading.Thread(target=register)
    asking.start()
    question = page.locator(".question")
    expect(question).to_contain_text("the name 'walker-0' is taken")
    expect(question).to_contain_text(re.compile(r"refuse is chosen in \d+ min"))
    expect(page.get_by_role("link", name="Decisions 1 pending")).to_be_visible()
    question.get_by_label("Reason").fill("there is room for both")
    question.get_by_role("button", name="name suffix").click()
    asking.join()

    expect(page.locator("#decisions-badge")).to_be_hidden()
    taken = part(watched, "decisions", "Taken").locator(".decision")
    expect(taken.filter(has_text="there is room for both").first).to_be_visible()
    assert answers[0][0] == 201
    assert answers[0][1]["name"].startswith("walker-0-")


def test_an_agent_s_detail_says_why_it_is_as_it_is(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.open(office.url, "agents/id-5")
    why = watched.page.locator(".detail details").filter(has_text="Why: decisions about it")
    expect(why.locator(".decision").first).to_be_visible()

    _, answer = office.ask("GET", "/registry/decisions?name=walker-5&limit=20")
    expect(why.locator(".decision")).to_have_count(answer["count"])
    expect(why).to_contain_text("13GB of memory are not available now")
    steps = why.locator("details").filter(has_text="steps")
    steps.locator("summary").press("Enter")
    expect(steps).to_contain_text("check resources")
    watched.page.goto(f"{office.url}/#/decisions/walker-5")
    expect(watched.page.locator("#decisions .decision")).to_have_count(answer["count"])
    expect(watched.page.locator("#decisions .sub")).to_contain_text("About walker-5")


def test_thousands_of_shares_stay_readable(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    answer = crowded(told(office))
    watched.page.route("**/registry/resources", lambda route: route.fulfill(json=answer))
    watched.open(office.url, "resources")
    expect(host(watched, "atlas")).to_contain_text("4,463 allocations")

    groups = host(watched, "atlas").locator(".cell.many title")
    expect(groups).to_have_count(4)
    assert watched.page.locator(".cell").count() < 20
    numbers = [int((group.text_content() or "").split(" ")[0].replace(",", "")) for group in groups.all()]
    assert sum(numbers) == CROWD
    expect(watched.page.locator(".cell[data-id=big] text").first).to_have_text("elephant")
    host(watched, "atlas").locator("summary").press("Enter")
    expect(watched.page.locator(".host tbody tr")).to_have_count(204)
    expect(watched.page.locator(".host tbody tr").last).to_contain_text("smaller ones")


def crowded(answer: dict[str, Any]) -> dict[str, Any]:
    """What a service answers, with thousands of shares on its first host."""
    first = answer["hosts"][0]
    like, size = first["allocations"][0], 2 << 20
    one = {**like, "agent_id": "big", "agent": "elephant", "memory": 3 << 30, "priority": "normal"}
    first["allocations"] = [one] + [
        {**like, "agent_id": f"id-{n}", "agent": f"walker-{n}", "memory": size, "priority": PRIORITIES[n % 4]}
        for n in range(CROWD)
    ]
    given = (3 << 30) + CROWD * size
    first["memory"] |= {"allocated": given, "free": first["memory"]["total"] - given}
    return answer


def test_a_service_without_operations_says_so_and_is_asked_nothing(tmp_path: Path, watched: Watched) -> None:
    from playwright.sync_api import expect

    with operating(tmp_path, None) as service:
        for view, words in [
            ("metrics", "Metrics are off"),
            ("alerts", "Alerts are off"),
            ("resources", "Resources are off"),
            ("decisions", "Decisions are off"),
        ]:
            watched.open(service.url, view)
            expect(watched.page.locator(f"#{view} .empty-title:visible").first).to_have_text(words)
        assert service.ask("GET", "/dashboard/parts.json")[1]["parts"] == {
            "alerts": False, "decisions": False, "definitions": True, "metrics": False, "resources": False,
        }  # fmt: skip
