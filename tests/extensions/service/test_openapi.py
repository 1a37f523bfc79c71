"""The description of the interface: complete, sound, and a page that works without a network."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.routing import Route

from agentreg.extensions.service import create_app, open_directory
from agentreg.extensions.service.openapi import document
from agentreg.extensions.service.openapi.page import STYLE, page

from .driving import run, service

DOCUMENT = document()
METHODS = {"get", "post", "put", "patch", "delete"}
#: The dashboard's, and the style of the page.
PAGES = re.compile(r"/|/dashboard.*|/docs/style\.css")


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }


def routes_of(app: Any) -> set[tuple[str, str]]:
    """Every method and path that an application has, as it says itself."""
    found = {(method.lower(), path) for path, (method, _) in app._routes.items()}
    for route in app._rest._app.routes:
        if isinstance(route, Route):
            found |= {(method.lower(), route.path_format) for method in route.methods or ()}
    return {(method, path) for method, path in found if method in METHODS and not PAGES.fullmatch(path)}


def test_every_route_is_described_and_nothing_else() -> None:
    routes = routes_of(create_app(open_directory("memory://")))

    assert routes == set(operations())


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for inner in value.values() for each in references(inner)]
    return [each for inner in value for each in references(inner)] if isinstance(value, list) else []


def test_every_reference_leads_somewhere_and_every_shape_is_used() -> None:
    def found(reference: str) -> Any:
        place: Any = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
        return place

    used = set(references(DOCUMENT))

    assert all(found(reference) for reference in used)
    assert {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]} <= used


def test_operations_have_names_of_their_own_a_summary_and_a_group() -> None:
    names = [operation["operationId"] for operation in operations().values()]
    tags = {tag["name"] for tag in DOCUMENT["tags"]}

    assert len(set(names)) == len(names)
    for operation in operations().values():
        assert operation["summary"]
        assert set(operation["tags"]) <= tags


def test_every_part_of_a_path_is_described() -> None:
    for (_, path), operation in operations().items():
        described = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert described == set(re.findall(r"{(\w+)}", path))


@run
async def test_the_document_is_served_to_everybody() -> None:
    async with service(token="secret") as client:
        answer = await client.http.get("/openapi.json")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert json.loads(answer.content) == json.loads(json.dumps(DOCUMENT))


# -- the page ---------------------------------------------------------------------


class Found(HTMLParser):
    """Ids, links and whatever a strict policy would not let through."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.forbidden: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            elif name in ("href", "src"):
                self.links.append(str(value))
            elif name == "style" or name.startswith("on"):
                self.forbidden.append(f"{tag} {name}")


@run
async def test_the_page_works_without_scripts_and_without_a_network() -> None:
    async with service(token="secret") as client:
        answer = await client.http.get("/docs")
        style = await client.http.get("/docs/style.css")
        found = Found(answer.text)
        inside = [link for link in found.links if link.startswith("#")]
        outside = {link for link in found.links if not link.startswith("#")}
        answers = {link: (await client.http.get(link)).status_code for link in outside}

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert (style.status_code, style.headers["content-type"], style.text) == (200, "text/css; charset=utf-8", STYLE)
    assert not found.forbidden
    assert not {"script", "style", "iframe", "img"} & set(found.tags)
    assert answers == dict.fromkeys(("/docs/style.css", "/openapi.json"), 200)
    assert {link[1:] for link in inside} <= set(found.ids)
    assert len(set(found.ids)) == len(found.ids)


def test_the_page_has_every_operation_and_every_shape() -> None:
    found = Found(page(DOCUMENT))

    assert {operation["operationId"] for operation in operations().values()} <= set(found.ids)
    assert {f"shape-{name}" for name in DOCUMENT["components"]["schemas"]} <= set(found.ids)


def test_what_stands_in_a_document_is_never_markup() -> None:
    evil = '<script>alert("x")</script>'
    operation = {"operationId": evil, "summary": evil, "tags": ["t"], "responses": {"200": {"description": evil}}}
    document = {
        "info": {"title": evil, "version": evil, "description": evil},
        "tags": [{"name": "t", "description": evil}],
        "paths": {evil: {"get": operation}},
        "components": {"schemas": {"S": {"description": evil}}},
    }

    assert "script" not in Found(page(document)).tags


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@run
async def test_the_description_can_only_be_read(method: str) -> None:
    async with service() as client:
        answer = await client.http.request(method, "/openapi.json", json={})

    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
