"""The description as a page of HTML, without any script."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

__all__ = ["STYLE", "page"]

STYLE = """\
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; border-radius: 4px; }
details { border: 1px solid var(--line); border-radius: 4px; margin: .4rem 0; padding: .3rem .7rem; }
summary { cursor: pointer; overflow-wrap: anywhere; } summary:focus-visible { outline: 2px solid; }
.method { display: inline-block; min-width: 4.2rem; font-weight: 700; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); }
nav a { margin-right: 1rem; }
"""


def page(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI *document*: each operation with its parameters, body and answers, then the shapes."""
    info = document["info"]
    tags = [tag["name"] for tag in document["tags"]]
    return "".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])}: HTTP</title>",
            '<link rel="stylesheet" href="/docs/style.css"></head><body>',
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
            *(f"<p>{_marked(text)}</p>" for text in info["description"].split("\n\n")),
            f'<nav>{_links([*tags, "shapes"])}<a href="/openapi.json">openapi.json</a></nav>',
            *(_group(document, tag) for tag in document["tags"]),
            _shapes(document["components"]["schemas"]),
            "</body></html>\n",
        ]
    )


def _links(names: Iterable[str]) -> str:
    return "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in names)


def _anchor(name: str) -> str:
    return escape(name.replace(" ", "-"))


def _group(document: Mapping[str, Any], tag: Mapping[str, str]) -> str:
    operations = [
        _operation(method, route, operation)
        for route, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation["tags"]
    ]
    title = f'<h2 id="{_anchor(tag["name"])}">{escape(tag["name"].capitalize())}</h2>'
    return f"{title}<p>{_marked(tag['description'])}</p>{''.join(operations)}"


def _operation(method: str, route: str, operation: Mapping[str, Any]) -> str:
    return "".join(
        [
            f'<details id="{escape(operation["operationId"])}"><summary><span class="method">{method.upper()}</span>',
            f"<code>{escape(route)}</code> {_marked(operation['summary'])}</summary>",
            f"<p>{_marked(operation['description'])}</p>" if "description" in operation else "",
            _table(("Parameter", "In", "What", "Shape"), _parameters(operation)),
            _body(operation.get("requestBody", {})),
            _table(("Status", "Meaning", "Content"), _responses(operation["responses"])),
            "</details>",
        ]
    )


def _parameters(operation: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for each in operation.get("parameters", ()):
        yield _code(each["name"]), escape(each["in"]), _marked(each["description"]), _shape(each["schema"])


def _body(body: Mapping[str, Any]) -> str:
    rows = [(_code(kind), _shape(content["schema"])) for kind, content in body.get("content", {}).items()]
    return _table(("Body", "Shape"), rows)


def _responses(responses: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for status, response in responses.items():
        contents = response.get("content", {}).items()
        yield (
            _code(status),
            _marked(response["description"]),
            "<br>".join(f"{_code(kind)} {_shape(content['schema'])}" for kind, content in contents),
        )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""


def _shape(schema: Mapping[str, Any]) -> str:
    """A link to a shape that has a name; else the schema, short as it is."""
    reference = schema.get("$ref")
    if reference is not None:
        name = reference.rpartition("/")[2]
        return f'<a href="#shape-{_anchor(name)}">{escape(name)}</a>'
    return _code(json.dumps(schema, separators=(", ", ": ")))


def _shapes(schemas: Mapping[str, Any]) -> str:
    found = [
        f'<details id="shape-{_anchor(name)}"><summary><code>{escape(name)}</code> '
        f"{_marked(schema.get('description', ''))}</summary>"
        f"<pre>{escape(json.dumps(schema, indent=2))}</pre></details>"
        for name, schema in sorted(schemas.items())
    ]
    return f'<h2 id="shapes">Shapes</h2>{"".join(found)}'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _marked(text: str) -> str:
    """*text*, with what stands between backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
