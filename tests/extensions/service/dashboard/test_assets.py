"""The files of the page, without a browser."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from agentreg.extensions.service import create_app, dashboard, open_directory
from agentreg.extensions.service.dashboard import Asset, assets, dashboard_routes, is_asset

from ..driving import run, service

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


def folder(module: ModuleType = dashboard) -> Path:
    return Path(module.__file__ or "").with_name("static")


def paths() -> dict[str, str]:
    return {"/": "index.html", **{f"/dashboard/{name}": name for name in assets()}}


def check_headers(answer: httpx.Response) -> None:
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"
    assert "agentreg-revision" in answer.headers


@run
async def test_every_file_is_served_with_its_type_and_guards() -> None:
    async with service() as client:
        for path, name in paths().items():
            answer = await client.http.get(path)
            head = await client.http.head(path)

            assert (answer.status_code, answer.content) == (200, (folder() / name).read_bytes())
            assert answer.headers["content-type"].partition(";")[0] == TYPES[Path(name).suffix]
            assert (head.status_code, head.content) == (200, b"")
            for name, value in answer.headers.items():
                assert head.headers[name] == value
            check_headers(answer)


@run
async def test_what_has_not_changed_is_not_sent_again() -> None:
    async with service() as client:
        etag = (await client.http.get("/dashboard/app.js")).headers["etag"]
        for said in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = await client.http.get("/dashboard/app.js", headers={"if-none-match": said})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
            check_headers(answer)

        assert (await client.http.get("/dashboard/app.js", headers={"if-none-match": '"other"'})).status_code == 200


@run
async def test_the_other_ways_to_the_page_lead_to_it() -> None:
    async with service() as client:
        for path in ("/dashboard", "/dashboard/"):
            answer = await client.http.get(path)
            assert (answer.status_code, str(answer.next_request and answer.next_request.url)) == (
                307,
                "http://127.0.0.1:7847/",
            )


@run
@pytest.mark.parametrize(
    "path", ["nothing.js", "../__init__.py", "%2e%2e/routes.py", "static/app.js", "app.js/", "%00"]
)
async def test_a_file_that_is_none_is_not_found(path: str) -> None:
    async with service() as client:
        answer = await client.http.get(f"/dashboard/{path}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@run
async def test_nothing_but_looking_is_allowed() -> None:
    async with service() as client:
        for path in ("/", "/dashboard/app.js"):
            assert (await client.http.post(path, json={})).status_code == 405


@run
async def test_the_page_needs_no_token_and_what_it_shows_does() -> None:
    async with service(token="secret") as client:
        assert (await client.http.get("/")).status_code == 200
        assert (await client.http.get("/dashboard/app.js")).status_code == 200
        assert (await client.http.get("/dashboard/parts.json")).status_code == 200
        assert (await client.http.get("/registry/agents")).status_code == 401
        assert (await client.http.get("/dashboard/../registry/agents")).status_code == 401


@run
async def test_the_page_is_for_this_service_s_own_names_only() -> None:
    async with service() as client:
        assert (await client.http.get("/", headers={"host": "evil.example"})).status_code == 403
        assert (await client.http.get("/", headers={"origin": "http://evil.example"})).status_code == 403


@run
async def test_the_page_learns_which_parts_there_are() -> None:
    async with service() as client:
        status, answer = await client.get("/dashboard/parts.json")
        there = {part: (await client.http.get(f"/registry/{part}")).status_code != 404 for part in answer["parts"]}

    assert (status, set(answer["parts"])) == (200, {"alerts", "decisions", "definitions", "metrics", "resources"})
    assert {part for part, is_there in there.items() if is_there} <= {p for p, has in answer["parts"].items() if has}


def test_the_page_refers_to_nothing_outside_and_to_nothing_that_is_missing() -> None:
    for name, asset in assets().items():
        if name.startswith("vendor/") and not name.endswith((".js", ".css")):
            continue
        text = asset.content.decode()
        outside = set(re.findall(r"(?:https?:|wss?:)?//[\w-]+\.[\w./-]+", re.sub(r"(?s)/\*.*?\*/", "", text)))
        assert outside <= {"http://www.w3.org/2000/svg"}, name
        for target in re.findall(r'(?:src|href)="(dashboard/[^"]+)"', text):
            assert target.removeprefix("dashboard/") in assets()
        for target in re.findall(r'from "\./([^"]+)"', text):
            assert target in assets()


def test_the_page_makes_no_markup_of_texts_and_has_no_script_or_style_inside() -> None:
    ours = {name: each.content.decode() for name, each in assets().items() if not name.startswith("vendor/")}
    for name, text in ours.items():
        assert not MARKUP.search(text), name
    page = ours["index.html"]
    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", page)
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []


def test_every_file_in_the_folder_is_served() -> None:
    there = {path.relative_to(folder()).as_posix() for path in folder().rglob("*") if path.is_file()}

    assert there == set(assets())
    assert "vendor/uPlot.LICENSE.txt" in there


def test_an_asset_s_tag_names_its_content() -> None:
    tags = {asset.etag for asset in assets().values()}

    assert len(tags) == len(assets())
    assert all(isinstance(each, Asset) and re.fullmatch(r'"[0-9a-f]{32}"', each.etag) for each in assets().values())


def test_only_the_page_s_own_paths_are_open() -> None:
    app = create_app(open_directory("memory://"))

    assert app is not None
    assert all(is_asset(route.path.replace("{path:path}", "app.js")) for route in dashboard_routes())
    assert not any(map(is_asset, ("", "/agents", "/registry/agents", "/dashboards", "//dashboard/")))
