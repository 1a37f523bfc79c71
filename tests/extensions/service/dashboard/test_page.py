"""The page in a browser: it lives on the stream, bears outages and hostile names, and serves everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..serving import Service, serving
from .crowd import enter, record
from .operating import operating
from .relay import Relay
from .watching import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Locator

VIEWS = ("agents", "runtimes", "definitions", "metrics", "resources", "alerts", "decisions", "timeline")
SCRIPT = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
FULL = {"memory_used": "511mb", "memory_allocated": "512mb"}  # which is soon an alert
OVERRIDE = "\u202egnp.exe\u2066"


def row(watched: Watched, name: str) -> Locator:
    named = watched.page.locator("td[data-column=name] a").get_by_text(name, exact=True)
    return watched.page.locator("tr.row").filter(has=named)


def change(service: Service, agent_id: str, **fields: Any) -> None:
    status, answer = service.ask("PUT", f"/registry/agents/{agent_id}", fields)
    assert status == 200, answer


@contextmanager
def a_page_of_its_own(watched: Watched) -> Iterator[None]:
    """Nothing in here loads the page again."""
    watched.page.evaluate("window.mark = 'the same page'")
    yield
    assert watched.page.evaluate("window.mark") == "the same page"


# -- what happens shows ---------------------------------------------------------


def test_an_agent_joins_changes_stops_and_leaves_without_a_reload(service: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.open(service.url)
    expect(watched.page.get_by_text("No agent is registered")).to_be_visible()
    with a_page_of_its_own(watched):
        service.post("/register", id="a", name="scout", cwd="/home/ada/forest", host="atlas")
        expect(row(watched, "scout").locator("[data-column=status]")).to_have_text("active")
        expect(row(watched, "scout").locator("[data-column=cwd]")).to_have_text("~/forest")
        change(service, "a", status="maintenance")
        expect(row(watched, "scout").locator("[data-column=status]")).to_have_text("maintenance")
        service.post("/deregister", id="a")
        expect(row(watched, "scout").locator("[data-column=status]")).to_have_text("stopped")
        service.ask("DELETE", "/registry/agents/a")
        expect(row(watched, "scout")).to_have_count(0)
        watched.page.get_by_role("link", name="Time line").click()
        expect(watched.page.locator(".move .kind")).to_have_text(["left", "joined"])


def test_registering_anew_is_neither_leaving_nor_joining(service: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    service.post("/register", id="a", name="scout")
    watched.open(service.url)
    expect(row(watched, "scout")).to_be_visible()

    service.post("/register", id="a", name="ranger")
    expect(row(watched, "ranger")).to_be_visible()

    watched.page.get_by_role("link", name="Time line").click()
    expect(watched.page.locator(".move .kind")).to_have_text(["joined"])


def test_the_service_is_killed_and_comes_back_and_the_page_catches_up(tmp_path: Path, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.bears_outages = True
    link = watched.page.locator("#link")
    with serving(tmp_path) as service:
        port = service.discovery()["port"]
        service.post("/register", id="a", name="stays")
        service.post("/register", id="b", name="goes")
        watched.open(service.url)
        expect(row(watched, "goes")).to_be_visible()
        service.process.kill()
        expect(link).to_have_text("Disconnected")
        expect(watched.page.locator("#banner")).to_contain_text("Disconnected from the service")
        expect(row(watched, "goes")).to_be_visible()

    with a_page_of_its_own(watched):
        watched.page.route("**/health", lambda route: route.abort())  # it can't come back before all has happened
        with serving(tmp_path, port=port) as service:
            assert service.discovery()["port"] == port
            service.post("/register", id="c", name="comes")
            assert service.ask("DELETE", "/registry/agents/b")[0] == 200
            change(service, "a", status="idle")
            watched.page.unroute("**/health")

            expect(link).to_have_text("Live")
            expect(watched.page.locator("#banner")).to_be_hidden()
            expect(row(watched, "comes")).to_be_visible()
            expect(row(watched, "goes")).to_have_count(0)
            expect(row(watched, "stays").locator("[data-column=status]")).to_have_text("idle")
            service.post("/register", id="d", name="later")
            expect(row(watched, "later")).to_be_visible()
            watched.page.get_by_role("link", name="Time line").click()
            moves = watched.page.locator(".move").filter(has_text="while disconnected")
            expect(moves.locator("a")).to_have_text(["goes", "comes"])


def test_after_a_cut_the_page_hears_of_every_event_that_it_has_missed(service: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.bears_outages = True
    with Relay(service.discovery()["port"]) as relay:
        watched.open(f"http://127.0.0.1:{relay.port}")
        service.post("/register", id="a", name="before")
        expect(row(watched, "before")).to_be_visible()
        relay.cut()
        expect(watched.page.locator("#link")).to_have_text("Disconnected")
        service.post("/register", id="b", name="passing")
        service.ask("DELETE", "/registry/agents/b")
        service.post("/register", id="c", name="after")
        relay.mend()

        expect(row(watched, "after")).to_be_visible()
        watched.page.get_by_role("link", name="Time line").click()
        # who came and went meanwhile is in no listing: only the events tell of it
        expect(watched.page.locator(".move a")).to_have_text(["after", "passing", "passing", "before"])
        expect(watched.page.locator(".move").filter(has_text="while disconnected")).to_have_count(0)


def test_try_now_connects_without_waiting(service: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.bears_outages = True
    with Relay(service.discovery()["port"]) as relay:
        watched.open(f"http://127.0.0.1:{relay.port}")
        watched.page.evaluate("Math.random = () => 1e9")  # the next try comes in a month
        relay.cut()
        expect(watched.page.locator("#link")).to_have_text("Disconnected")
        relay.mend()
        watched.page.get_by_role("button", name="Try now").click()

        expect(watched.page.locator("#link")).to_have_text("Live")


# -- detail, runtimes, alerts, definitions ----------------------------------------


def test_the_detail_shows_the_record_its_events_and_plots(service: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    body = {"agent_id": "a", "name": "scout", "capabilities": ["read maps"], "config": {"tools": ["Read", "Bash"]}}
    service.ask("POST", "/registry/agents", {**body, "metadata": {"task": "look around"}})
    watched.open(service.url)
    row(watched, "scout").locator("a").click()
    detail = watched.page.locator(".detail")
    expect(detail.get_by_role("heading", name="scout")).to_be_visible()
    for text in ("read maps", "Bash", "look around", "None since this page was opened."):
        expect(detail).to_contain_text(text)

    for seconds, used in [("1.5s", "100mb"), ("800ms", "200mb")]:
        change(service, "a", performance={"avg_response_time": seconds}, resources={"memory_used": used})

    expect(detail.locator(".plot:has-text('Response time') .plot-now")).to_have_text("800 ms")
    expect(detail.locator(".plot:has-text('Memory') .plot-now")).to_have_text("200 MB")
    expect(detail.locator(".plot canvas")).to_have_count(3)
    expect(detail.locator(".events li")).to_have_count(4)
    expect(detail.locator(".events")).to_contain_text("avg response time 800ms")
    folded = detail.locator("summary").filter(has_text="Performance")
    folded.press("Enter")
    change(service, "a", performance={"total_tasks": 7}, config={"priority": 3})
    expect(detail.locator(".events li")).to_have_count(6)
    expect(folded).to_be_focused()
    expect(detail.locator("details:not([open]) > summary").filter(has_text="Performance")).to_have_count(1)
    service.ask("DELETE", "/registry/agents/a")
    expect(detail).to_contain_text("This agent is not registered any more.")


def test_runtimes_are_counted_by_status_with_their_last_heartbeat(service: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    enter(service, [record(number) for number in range(20)])
    service.post("/register", name="scout")
    watched.open(service.url, "runtimes")

    cards = watched.page.locator(".runtime")
    expect(cards).to_have_count(6)
    expect(cards.nth(0).get_by_role("heading")).to_have_text("crew-0")
    expect(cards.nth(0).locator(".counts li")).to_have_text(["1 error", "1 maintenance", "1 active", "1 idle"])
    expect(cards.filter(has_text="service").locator("dd").last).to_have_text(re.compile(r"^\d+ s ago$"))


def test_where_alerts_are_off_those_of_the_stream_show(tmp_path: Path, watched: Watched) -> None:
    from playwright.sync_api import expect

    with operating(tmp_path, None) as service:
        watched.open(service.url, "alerts")
        expect(watched.page.locator("#alerts .empty-title").first).to_have_text("Alerts are off")
        expect(watched.page.locator("#alerts")).to_contain_text("An alert shows here the moment it is raised.")

        service.ask("POST", "/registry/agents", {"agent_id": "a", "name": "scout"})
        change(service, "a", resources={"memory_used": "500mb", "memory_allocated": "512mb"})

        seen = watched.page.locator("#alerts .alert").filter(has_text="98% of the memory")
        expect(seen).to_have_count(1)
        expect(seen.get_by_role("link", name="scout")).to_have_attribute("href", "#/agents/a")


def test_a_field_that_an_update_takes_away_is_not_shown_any_more(service: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    config = {"description": "Looks around", "model": "large"}
    resources = {"active_tasks": 3, "max_concurrent_tasks": 4, "shelf": "upper"}
    body = {"agent_id": "a", "name": "scout", "config": config, "resources": resources}
    service.ask("POST", "/registry/agents", body)
    watched.open(service.url, "agents/a")
    detail = watched.page.locator(".detail")
    for text in ("large", "upper", "Looks around"):
        expect(detail).to_contain_text(text)
    expect(row(watched, "scout").locator("[data-column=tasks]")).to_have_text("3 / 4")
    with a_page_of_its_own(watched):
        watched.page.route("**/registry/agents/a", lambda route: route.abort())  # only the stream tells of it
        watched.bears_outages = True
        change(service, "a", config={"model": None}, resources={"shelf": None, "active_tasks": None})

        expect(detail).not_to_contain_text("large")
        expect(detail).not_to_contain_text("upper")
        expect(detail).to_contain_text("Looks around")
        _, told = service.ask("GET", "/registry/agents/a")
        expect(row(watched, "scout").locator("[data-column=tasks]")).to_have_text("0 / 4")
        assert told["resources"]["active_tasks"] == 0


def definition(last: str) -> str:
    return f"---\nname: scout\ndescription: Looks around\ntools: Read, Grep\n---\nYou are a scout.\n{last}\n"


def test_a_definition_shows_its_versions_their_differences_and_rolls_back(fresh: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    fresh.ask("POST", "/registry/definitions", {"content": definition("Be quick."), "tags": ["search"]})
    fresh.ask("PUT", "/registry/definitions/scout", {"content": definition("Be thorough."), "replaces": 1})
    watched.open(fresh.url, "definitions")
    watched.page.get_by_role("link", name="scout").click()

    page = watched.page
    expect(page.locator(".content")).to_contain_text("Be thorough.")
    expect(page.locator(".diff .removed")).to_have_text("-Be quick.\n")
    expect(page.locator(".diff .added")).to_have_text("+Be thorough.\n")
    page.get_by_label("From").select_option("2")
    expect(page.locator(".diff")).to_have_text("Nothing differs.")
    page.get_by_role("button", name="Roll back").click()
    page.get_by_role("button", name="Cancel").click()
    assert fresh.ask("GET", "/registry/definitions/scout")[1]["version"] == 2
    page.get_by_role("button", name="Roll back").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()

    expect(page.locator(".versions strong")).to_have_text(["Version 3", "Version 2", "Version 1"])
    expect(page.locator(".content")).to_contain_text("Be quick.")
    assert fresh.ask("GET", "/registry/definitions/scout")[1]["content"] == definition("Be quick.")


# -- strangers' texts -------------------------------------------------------------


def test_a_definition_that_changes_while_it_is_looked_at_is_shown_anew(fresh: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    fresh.ask("POST", "/registry/definitions", {"content": definition("Be quick.")})
    watched.open(fresh.url, "definitions/scout")
    expect(watched.page.locator(".content")).to_contain_text("Be quick.")
    with a_page_of_its_own(watched):
        fresh.ask("PUT", "/registry/definitions/scout", {"content": definition("Be thorough."), "replaces": 1})
        expect(watched.page.locator(".content")).to_contain_text("Be thorough.")
        expect(watched.page.locator(".versions strong")).to_have_text(["Version 2", "Version 1"])
        content = definition("Be kind.").replace("scout", "ranger")
        fresh.ask("POST", "/registry/definitions", {"content": content})
        expect(watched.page.locator(".names a")).to_have_count(2)
    watched.page.locator(".content").focus()
    watched.page.locator(".content").evaluate("(content) => content.scrollTo(0, 1)")
    with watched.page.expect_response("**/registry/definitions"):
        pass
    expect(watched.page.locator(".content")).to_be_focused()  # nothing was different: nothing was drawn anew


def test_hostile_names_and_metadata_show_as_text_and_run_nothing(fresh: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    metadata = {SCRIPT: SCRIPT, "long": "x" * 10_000, "__proto__": {"polluted": True}}
    config = {"description": f"{SCRIPT} {'y' * 9_900}", "tools": [SCRIPT]}
    fresh.ask("POST", "/registry/agents", {"agent_id": "a/../b?c#d", "name": SCRIPT, "cwd": f"/{SCRIPT}",
                "capabilities": [SCRIPT], "config": config, "metadata": metadata, "resources": FULL})  # fmt: skip
    fresh.ask("POST", "/registry/agents", {"agent_id": "__proto__", "name": f"{OVERRIDE}name", "cwd": OVERRIDE * 400})
    enter(fresh, [record(1, name="n" * 10_000, cwd="c" * 10_000, runtime_id=SCRIPT, host=SCRIPT)])
    content = definition(SCRIPT).replace("Looks around", f"'{SCRIPT.replace(chr(39), chr(34))}'")
    assert fresh.ask("POST", "/registry/definitions", {"content": content})[0] == 201
    page = watched.page
    watched.open(fresh.url)
    expect(row(watched, SCRIPT).locator("[data-column=cwd]")).to_have_text(f"/{SCRIPT}")

    for name in watched.page.locator("tr.row td[data-column=name] bdi:not(.where)").all():
        assert name.evaluate("(bdi) => getComputedStyle(bdi).unicodeBidi") == "isolate"
    assert page.locator("tr.row").evaluate_all("(rows) => rows.map((row) => row.offsetHeight)") == [40] * 3
    row(watched, SCRIPT).locator("a").click()
    expect(page.locator(".detail h2")).to_have_text(SCRIPT)
    expect(page.locator(".detail pre")).to_contain_text('"polluted": true')
    assert "x" * 10_000 in (page.locator(".detail pre").text_content() or "")
    assert "y" * 9_900 in (page.locator(".detail").text_content() or "")
    change(fresh, "__proto__", metadata={SCRIPT: "changed"}, performance={"avg_response_time": SCRIPT})
    page.goto(f"{fresh.url}/#/agents/__proto__")
    expect(page.locator(".detail .events")).to_contain_text("changed")
    for view in VIEWS:
        page.goto(f"{fresh.url}/#/{view}")
        expect(page.locator(f"#{view}")).to_be_visible()
        if view == "alerts":
            expect(page.locator("#alerts .alert a")).to_have_text(SCRIPT)
        if view == "decisions":
            expect(page.locator("#decisions .decision").first).to_be_visible()
    page.goto(f"{fresh.url}/#/definitions/scout")
    expect(page.locator(".content")).to_contain_text(SCRIPT)

    assert page.evaluate("window.hacked") is None
    assert page.evaluate("({}).polluted") is None
    assert page.locator("main script, main img").count() == 0


# -- for everybody ----------------------------------------------------------------


def test_everything_can_be_done_with_the_keyboard(service: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    for name in ("zebra-1", "zebra-2", "yak"):
        service.post("/register", id=name, name=name)
    watched.open(service.url)
    expect(watched.page.locator("tr.row")).to_have_count(3)
    keyboard, page = watched.page.keyboard, watched.page

    reached = []
    for _ in range(40):
        keyboard.press("Tab")
        focus = page.evaluate(_FOCUS)
        assert focus["shown"], f"the focus can't be seen on {focus['text']}"
        reached.append(focus["text"])
        if focus["text"] == "Agents grid":
            break
    assert {"Runtimes", "Time line", "Switch to dark colours", "Search agents", "Runtime"} <= set(reached)
    assert reached[-1] == "Agents grid"

    page.locator("body").press("/")
    expect(page.locator("#search")).to_be_focused()
    keyboard.type("zebra")
    expect(page.locator(".result")).to_have_text("2 of 3 agents")
    page.locator("th[data-column=name] button").press("Enter")
    expect(page.locator("th[data-column=name]")).to_have_attribute("aria-sort", "ascending")
    page.locator("[role=grid]").focus()
    keyboard.press("ArrowDown")
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    expect(page.locator(".detail h2")).to_have_text("zebra-2")
    expect(page.locator(".detail h2")).to_be_focused()
    keyboard.press("Escape")
    expect(page.locator(".detail")).to_be_hidden()
    expect(page.locator("[role=grid]")).to_be_focused()


_FOCUS = """() => {
    const focused = document.activeElement, style = getComputedStyle(focused);
    const text = focused.getAttribute("aria-label") ?? focused.textContent.trim();
    const isGrid = focused.matches("[role=grid]");
    const ring = isGrid ? getComputedStyle(focused.parentElement).boxShadow : style.outlineStyle;
    return { text: isGrid ? `${text} grid` : text, shown: ring !== "none" };
}"""


def test_a_narrow_screen_needs_no_sideways_scrolling(fresh: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    fresh.ask("POST", "/registry/definitions", {"content": definition("Be quick.")})
    fresh.post("/register", id="a", name="w" * 200, cwd="/home/ada/forest", host="atlas", meta={"k" * 200: "v" * 900})
    change(fresh, "a", resources=FULL, config={"tools": ["Read"]})
    watched.page.set_viewport_size({"width": 375, "height": 700})
    watched.open(fresh.url)

    for view in (*VIEWS, "definitions/scout", "agents/a"):
        watched.page.goto(f"{fresh.url}/#/{view}")
        expect(watched.page.locator(f"#{view.partition('/')[0]}")).to_be_visible()
        if "/" in view:
            expect(watched.page.locator("h2:visible")).to_have_text(["w" * 200 if view == "agents/a" else "scout"])
        widths = watched.page.evaluate(
            "['main', '.detail-body', '.table'].map((each) => document.querySelector(each))"
            ".concat(document.documentElement).map((each) => each.scrollWidth - each.clientWidth)"
        )
        assert max(widths) <= 0, view
    watched.page.get_by_role("link", name="Close").click()
    first = watched.page.locator("tr.row").first
    expect(first).to_contain_text("atlas · ~/forest")
    expect(first.locator("[data-column=status]")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(fresh: Service, watched: Watched, scheme: Any) -> None:
    from playwright.sync_api import expect

    enter(fresh, [record(number) for number in range(8)])
    fresh.ask("POST", "/registry/definitions", {"content": definition("Be quick.")})
    fresh.ask("PUT", "/registry/definitions/scout", {"content": definition("Be thorough."), "replaces": 1})
    change(fresh, "id-3", resources=FULL)
    watched.page.emulate_media(color_scheme=scheme)
    watched.open(fresh.url)
    watched.page.locator(".chip").first.click()

    for view in (*VIEWS, "agents/id-3", "definitions/scout"):
        watched.page.goto(f"{fresh.url}/#/{view}")
        expect(watched.page.locator(f"#{view.partition('/')[0]}")).to_be_visible()
        if view == "definitions/scout":
            expect(watched.page.locator(".diff .added")).to_be_visible()
        if view == "alerts":
            expect(watched.page.locator("#alerts .alert a")).to_be_visible()
        weak = watched.page.evaluate(_CONTRAST)
        assert [each for each in weak if each["ratio"] < 4.5] == [], view
    light = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(light[4:].split(",")[0]) > 128) == (scheme == "light")


# The contrast of every text with the first background behind it (WCAG 2.2, 1.4.3).
_CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return canvas.getImageData(0, 0, 1, 1).data;
    };
    const light = (colour) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, at) => {
        const part = rgba(colour)[at] / 255;
        return sum + weight * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    }, 0);
    const behind = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const colour = getComputedStyle(each).backgroundColor;
            if (rgba(colour)[3] > 200) return colour;
        }
        return "white";
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
        const pair = [light(getComputedStyle(element).color), light(behind(element))].sort((one, other) => other - one);
        found.push({ text: texts.currentNode.data.slice(0, 40), ratio: (pair[0] + 0.05) / (pair[1] + 0.05) });
    }
    return found;
}"""


def test_the_chosen_colours_are_kept(service: Service, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.page.emulate_media(color_scheme="light")
    watched.open(service.url)
    light = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
    watched.page.get_by_role("button", name="Switch to dark colours").click()
    expect(watched.page.locator("body")).not_to_have_css("background-color", light)
    watched.page.reload()
    expect(watched.page.locator("body")).not_to_have_css("background-color", light)
    watched.page.get_by_role("button", name="Switch to light colours").click()
    expect(watched.page.locator("body")).to_have_css("background-color", light)


# -- the token --------------------------------------------------------------------


def test_the_page_asks_for_the_token_and_keeps_it_for_the_tab(tmp_path: Path, watched: Watched) -> None:
    from playwright.sync_api import expect

    watched.bears_outages = True
    token = "s3cret (with % and / and ü)"
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    file.chmod(0o600)
    with serving(tmp_path / "office", token_file=str(file)) as service:
        bearer = {"Authorization": b"Bearer " + token.encode()}
        body = {"agent_id": "a", "name": "scout"}
        assert service.ask("POST", "/registry/agents", body, **bearer)[0] == 201  # type: ignore[arg-type]
        page = watched.page
        page.goto(service.url)
        expect(page.get_by_role("heading", name="This service wants its token")).to_be_visible()
        expect(page.locator("#link")).to_have_text("Token needed")
        page.get_by_label("Token").fill("another")
        page.get_by_label("Token").press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The service has another token.")
        page.get_by_label("Token").fill(token)
        page.get_by_label("Token").press("Enter")

        expect(row(watched, "scout")).to_be_visible()
        expect(page.locator("#link")).to_have_text("Live")
        page.reload()
        expect(row(watched, "scout")).to_be_visible()
        assert page.evaluate("localStorage.length") == 0
