"""Plots of what the service has recorded, on the page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..serving import Service
from .crowd import enter, record
from .operating import HOUR, operating, recorded
from .watching import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Locator

DAYS = 5
NONE = "\N{EN DASH}"
GAP = 60, 30  # hours ago: nothing was recorded between them
AGENTS = ["id-0", "id-1", "id-2"]

# How much colour there is in a column of a plot: uPlot's axes and what is written at them are greyish.
_COLOUR = """(canvas, [share]) => {
    const [left, right] = [60 * devicePixelRatio, 6 * devicePixelRatio];
    const x = Math.round(left + share * (canvas.width - left - right));
    const column = new OffscreenCanvas(1, canvas.height).getContext("2d", { willReadFrequently: true });
    column.drawImage(canvas, -x, 0);
    const { data } = column.getImageData(0, 0, 1, canvas.height);
    let coloured = 0;
    for (let at = 0; at < data.length; at += 4) {
        coloured += data[at + 3] > 20 && Math.abs(data[at] - data[at + 1]) + Math.abs(data[at + 1] - data[at + 2]) > 60;
    }
    return coloured;
}"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that samples every second, and has recorded three agents for five days."""
    workspace: Path = tmp_path_factory.mktemp("office")
    recorded(workspace, AGENTS, time.time(), DAYS, GAP, interval=1)
    with operating(workspace, {"interval": 1}) as service:
        enter(service, [record(number) for number in range(30)])
        yield service


def plot(watched: Watched, title: str) -> Locator:
    return watched.page.locator("#metrics .band-plot").filter(has_text=title)


def choose(watched: Watched, span: str) -> None:
    watched.page.get_by_role("radio", name=span).check()


def figures(shown: Locator) -> Locator:
    """The rows of the table beside a plot, which is opened."""
    shown.locator("summary").press("Enter")
    return shown.locator("tbody tr")


def report(service: Service, agent_id: str, **fields: object) -> None:
    status, answer = service.ask("PUT", f"/registry/agents/{agent_id}", fields)
    assert status == 200, answer


def test_a_month_shows_with_its_quantiles_and_a_gap_where_nothing_was_recorded(
    office: Service, watched: Watched
) -> None:
    from playwright.sync_api import expect

    watched.open(office.url, "metrics")
    choose(watched, "30 days")
    memory = plot(watched, "Memory")
    rows = figures(memory)
    _, answer = office.ask("GET", "/registry/metrics?metric=memory_usage&since=30d&step=3600")
    expect(rows).to_have_count(len(answer["points"]))

    cells = rows.last.locator("td").all_inner_texts()
    assert len(answer["points"]) < DAYS * 24 - (GAP[0] - GAP[1]) + 5
    assert all(re.fullmatch(r"[\d.]+ %", each) for each in cells[:4]), cells
    expect(watched.page.locator("#metrics .plot-legend .line-p95")).to_be_visible()
    canvas = memory.locator("canvas").first
    lost = 1 - (GAP[0] + GAP[1]) / 2 / (30 * 24)
    assert canvas.evaluate(_COLOUR, [lost]) == 0
    assert canvas.evaluate(_COLOUR, [lost - 0.05]) > 10
    assert canvas.evaluate(_COLOUR, [lost + 0.05]) > 10


def test_a_span_without_samples_says_so(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.open(office.url, "metrics")
    choose(watched, "1 day")

    expect(plot(watched, "Errors")).to_contain_text("Nothing was recorded in this span.")
    expect(plot(watched, "Errors").locator(".plot-now")).to_have_text(NONE)


def test_one_agent_can_be_chosen_by_its_name_and_has_an_address(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    page = watched.page
    watched.open(office.url, "metrics")
    expect(page.locator("#metrics .sub")).to_contain_text("All agents together")
    page.get_by_label("Agent", exact=True).fill("nobody")
    page.get_by_label("Agent", exact=True).press("Enter")
    expect(page.locator("#metrics .problem")).to_have_text("No agent is called nobody.")

    page.get_by_label("Agent", exact=True).fill("walker-2")
    page.get_by_label("Agent", exact=True).press("Enter")

    expect(page.locator("#metrics .sub")).to_contain_text("walker-2")
    expect(page.locator("#metrics .problem")).to_have_text("")
    assert page.url.endswith("#/metrics/id-2")
    choose(watched, "30 days")
    samples = figures(plot(watched, "Memory")).last.locator("td").last
    expect(samples).to_have_text(re.compile("^[12]$"))  # of one agent, not of three
    page.goto(f"{office.url}/#/metrics")
    expect(page.locator("#metrics .sub")).to_contain_text("All agents together")
    expect(page.get_by_label("Agent", exact=True)).to_have_value("")


def test_the_plots_go_on_with_every_round_of_samples(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.open(office.url, "metrics/id-7")
    now = plot(watched, "Response time").locator(".plot-now")
    expect(now).to_have_text(NONE)

    report(office, "id-7", performance={"avg_response_time": "3s"})

    expect(now).to_have_text("3 s")
    samples = figures(plot(watched, "Response time")).first.locator("td").last
    before = int(samples.inner_text())
    expect(samples).not_to_have_text(str(before))
    watched.page.locator(".band-plot", has_text="Response time").locator(".u-over").hover()
    expect(plot(watched, "Response time").locator("[role=region]")).to_be_visible()


def test_a_plot_says_in_words_what_it_shows(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    report(office, "id-8", resources={"memory_used": "256mb", "memory_allocated": "512mb"})
    watched.open(office.url, "metrics/id-8")

    said = plot(watched, "Memory").locator("p.hidden")
    expect(said).to_have_text("Memory of id-8: now 50 %, between 50 % and 50 %.")
    expect(plot(watched, "Memory").locator(".plot-title")).to_have_text("Memory % of its share")


def test_the_span_is_chosen_with_the_arrow_keys(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.open(office.url, "metrics")
    spans = watched.page.get_by_role("radiogroup", name="Span")
    expect(spans.get_by_role("radio", name="1 hour")).to_be_checked()

    watched.page.get_by_label("Agent", exact=True).focus()
    watched.page.keyboard.press("Tab")
    watched.page.keyboard.press("ArrowRight")

    expect(spans.get_by_role("radio", name="1 day")).to_be_checked()
    expect(spans.get_by_role("radio", name="1 day")).to_be_focused()
    expect(spans.locator("input:focus-visible + span")).to_have_css("outline-style", "solid")


def test_an_agent_s_detail_has_the_same_plots(office: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.open(office.url, "agents/id-1")
    detail = watched.page.locator(".detail")
    expect(detail.locator(".band-plot .plot-title").first).to_contain_text("Memory")
    detail.get_by_role("radio", name="30 days").check()

    expect(detail.locator(".band-plot").first.locator(".plot-now")).to_have_text(re.compile(r"^\d+ %$"))
    assert detail.locator(".band-plot").count() >= 4
    watched.page.goto(f"{office.url}/#/agents/id-20")  # nothing was recorded of this one before
    expect(detail.locator("h2")).to_have_text("walker-20")
    expect(detail.locator(".band-plot").filter(has_text="Response time")).to_contain_text("Nothing was recorded")


def test_an_hour_of_a_month_ago_is_in_the_answer_and_one_of_the_gap_is_not(office: Service) -> None:
    _, answer = office.ask("GET", "/registry/metrics?metric=memory_usage&since=30d&step=3600")

    ages = [(time.time() - _seconds(point["time"])) / HOUR for point in answer["points"]]

    assert max(ages) > DAYS * 24 - 3
    assert not [age for age in ages if GAP[1] + 1 < age < GAP[0] - 1]


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
