"""Alerts on the page: they come, are acknowledged, silenced, and go; rules come and go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..serving import Service
from .crowd import enter, record
from .operating import operating
from .watching import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Locator

RULES = {"crowded": "memory_usage > 90%", "slow": "response_time > 5s for 1h"}
MEMORY = {"memory_allocated": "100mb"}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    workspace: Path = tmp_path_factory.mktemp("office")
    with operating(workspace, {"interval": 1, "rules": RULES}) as service:
        enter(service, [record(number) for number in range(20)])
        yield service


@pytest.fixture
def quiet(office: Service) -> Iterator[Service]:
    """Nothing fires before and after."""
    yield office
    for number in range(20):
        use(office, number, 10)
    found = office.ask("GET", "/registry/alerts?state=active")[1]
    for each in found["silences"]:
        office.ask("DELETE", f"/registry/alerts/silences/{each['id']}")
    if any(rule["name"] == "odd" for rule in found["rules"]):
        office.ask("DELETE", "/registry/alerts/rules/odd")


def use(service: Service, number: int, percent: int) -> None:
    """Let an agent use so much of its memory."""
    resources = {"memory_used": f"{percent}mb", "memory_allocated": "100mb"}
    status, answer = service.ask("PUT", f"/registry/agents/id-{number}", {"resources": resources})
    assert status == 200, answer


def alert(watched: Watched, rule: str, name: str) -> Locator:
    found = watched.page.locator("#alerts .alerts-list").first.locator(".alert")
    return found.filter(has_text=rule).filter(has=watched.page.get_by_role("link", name=name, exact=True))


def part(watched: Watched, title: str) -> Locator:
    return watched.page.locator("#alerts .part").filter(has=watched.page.get_by_role("heading", name=title, exact=True))


def active(service: Service) -> list[dict[str, Any]]:
    return list(service.ask("GET", "/registry/alerts?state=active")[1]["alerts"])


def test_an_alert_fires_is_acknowledged_and_is_over_without_a_reload(quiet: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    page, badge = watched.page, watched.page.locator("#alerts-badge")
    watched.open(quiet.url, "alerts")
    expect(part(watched, "Active")).to_contain_text("No rule is broken.")
    expect(badge).to_be_hidden()

    use(quiet, 1, 95)
    line = alert(watched, "crowded", "walker-1")
    expect(line).to_have_attribute("data-state", "firing")
    expect(line).to_contain_text("memory_usage > 90%")
    expect(line.locator(".alert-value strong")).to_have_text("95 %")
    expect(line.get_by_role("link")).to_have_attribute("href", "#/agents/id-1")
    expect(page.get_by_role("link", name="Alerts 1 firing")).to_be_visible()

    line.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("dialog").get_by_label("Note").fill("restarting <b>it</b>")
    page.get_by_role("dialog").get_by_label("Your name").fill("ada")
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(line).to_contain_text("by ada: restarting <b>it</b>")
    expect(line.get_by_role("button", name="Acknowledge")).to_have_count(0)
    expect(badge).to_be_hidden()

    use(quiet, 1, 10)
    expect(part(watched, "History").locator(".alert").first).to_contain_text("resolved")
    expect(line).to_have_count(0)


def test_what_may_fire_soon_is_listed_below_what_fires(quiet: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    assert quiet.ask("PUT", "/registry/agents/id-2", {"performance": {"avg_response_time": "9s"}})[0] == 200
    use(quiet, 3, 99)
    watched.open(quiet.url, "alerts")

    states = watched.page.locator("#alerts .alerts-list").first.locator(".alert")
    expect(alert(watched, "slow", "walker-2").first).to_contain_text("pending")
    expect(states.first).to_contain_text("firing")
    expect(alert(watched, "slow", "walker-2").first.get_by_role("button", name="Acknowledge")).to_have_count(0)
    expect(watched.page.locator("#alerts-badge")).to_have_text("1 firing")
    assert quiet.ask("PUT", "/registry/agents/id-2", {"performance": {"avg_response_time": "1s"}})[0] == 200
    expect(alert(watched, "slow", "walker-2")).to_have_count(0)


def test_an_alert_is_silenced_for_a_while_and_the_silence_is_ended(quiet: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    page = watched.page
    use(quiet, 4, 97)
    use(quiet, 5, 97)
    watched.open(quiet.url, "alerts")
    expect(page.locator("#alerts-badge")).to_have_text("2 firing")

    alert(watched, "crowded", "walker-4").get_by_role("button", name="Silence").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("combobox", name="What")).to_have_value("both")
    dialog.locator("[name=for]").select_option("4h")
    dialog.get_by_label("Reason").fill("moving house")
    dialog.get_by_role("button", name="Silence").click()

    silence = part(watched, "Silences").locator("li")
    expect(silence).to_contain_text("crowded")
    expect(silence).to_contain_text("moving house")
    expect(silence).to_contain_text(re.compile(r"ends in 3 h 59 min"))
    expect(silence.get_by_role("link")).to_have_text("walker-4")
    expect(page.locator("#alerts-badge")).to_have_text("1 firing")
    expect(alert(watched, "crowded", "walker-4")).to_contain_text("silenced")

    silence.get_by_role("button", name="End").click()
    expect(part(watched, "Silences")).to_contain_text("Nothing is silenced.")
    expect(page.locator("#alerts-badge")).to_have_text("2 firing")


def test_a_rule_or_an_agent_is_silenced_before_anything_fires(quiet: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    page = watched.page
    watched.open(quiet.url, "alerts")
    page.get_by_role("button", name="New silence").click()
    page.get_by_role("dialog").get_by_label("Rule").select_option("crowded")
    page.get_by_role("dialog").get_by_role("button", name="Silence").click()
    expect(part(watched, "Silences").locator("li")).to_contain_text("all agents")

    use(quiet, 6, 97)

    expect(alert(watched, "crowded", "walker-6")).to_contain_text("silenced")
    expect(page.locator("#alerts-badge")).to_be_hidden()


def test_a_rule_that_can_t_be_read_shows_the_place(quiet: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    page = watched.page
    watched.bears_outages = True  # the browser itself says that there was a refusal
    watched.open(quiet.url, "alerts")
    rules = part(watched, "Rules")
    expect(rules.locator("li")).to_have_count(6)
    status, refusal = quiet.ask("POST", "/registry/alerts/rules", {"name": "odd", "expression": "memory_usage is high"})
    assert status == 400

    rules.get_by_label("Name").fill("odd")
    rules.get_by_label("Expression").fill("memory_usage is high")
    rules.get_by_label("Expression").press("Enter")

    problem = rules.locator("pre")
    expect(problem).to_be_visible()
    assert problem.text_content() == refusal["detail"]
    assert "^" in (problem.text_content() or "")
    expect(problem).to_have_css("white-space", "pre")
    expect(rules.get_by_label("Expression")).to_be_focused()
    expect(rules.get_by_label("Expression")).to_have_attribute("aria-invalid", "true")

    rules.get_by_label("Expression").fill("memory_usage > 99%")
    rules.get_by_role("button", name="Add rule").click()
    expect(rules.locator("li").filter(has_text="odd")).to_contain_text("memory_usage > 99%")
    expect(problem).to_be_hidden()

    rules.get_by_role("button", name="Remove odd").click()
    page.keyboard.press("Escape")
    expect(rules.locator("li")).to_have_count(7)
    rules.get_by_role("button", name="Remove odd").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(rules.locator("li")).to_have_count(6)


def test_whoever_is_at_a_button_stays_there_when_the_list_changes(quiet: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    use(quiet, 7, 96)
    watched.open(quiet.url, "alerts")
    button = alert(watched, "crowded", "walker-7").get_by_role("button", name="Silence")
    button.focus()

    use(quiet, 8, 96)
    expect(alert(watched, "crowded", "walker-8")).to_be_visible()
    expect(button).to_be_focused()
    button.press("Enter")
    expect(watched.page.get_by_role("dialog").get_by_role("combobox", name="What")).to_be_focused()
    watched.page.keyboard.press("Escape")
    expect(watched.page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()
    assert not any(each["silenced"] for each in active(quiet))
