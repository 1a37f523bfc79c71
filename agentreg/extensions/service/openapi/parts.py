"""The parts that the description of an interface is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

__all__ = ["Group", "Schema", "answers", "header", "path", "query", "texts"]

Schema = dict[str, Any]
Operation = dict[str, Any]

PROBLEM: Schema = {"$ref": "#/components/schemas/Problem"}
_REVISION = {"Agentreg-Revision": {"$ref": "#/components/headers/Revision"}}
_JSON = "application/json"


class Group:
    """Operations that belong together, with the shapes that they speak of.

    Args:
        tag: What they are called.
        about: What they are for.
        prefix: Put before the names of shapes.
        error: The shape and the media type of their refusals; problem documents, if left out.
        revised: Whether answers say in a header which revision they show.
    """

    def __init__(
        self,
        tag: str,
        about: str,
        prefix: str = "",
        error: tuple[Schema, str] = (PROBLEM, "application/problem+json"),
        revised: bool = True,
    ) -> None:
        self.tag = {"name": tag, "description": about}
        self.paths: dict[str, dict[str, Operation]] = {}
        self.schemas: dict[str, Schema] = {}
        self._prefix = prefix
        self._error = error
        self._headers = _REVISION if revised else {}

    def shape(self, kind: Any) -> Schema:
        """The reference to the schema of *kind*, which is taken down."""
        template = f"#/components/schemas/{self._prefix}{{name}}"
        (schema,), components = msgspec.json.schema_components([kind], ref_template=template)
        self.schemas |= {f"{self._prefix}{name}": each for name, each in components.items()}
        return schema

    def add(
        self,
        method: str,
        route: str,
        summary: str,
        given: Mapping[int, tuple[str, Any]],
        *,
        about: str = "",
        body: Any = None,
        kinds: Iterable[str] = (_JSON,),
        parameters: Iterable[Schema] = (),
        refused: Iterable[int] = (),
        open_to_all: bool = False,
    ) -> None:
        """Describe an operation.

        Args:
            method, route: As in a request; what varies in braces.
            summary: What it does, in a few words.
            given: For each status of success, what it means, and its content: a type, or what a response has.
            about: Anything else.
            body: The type of the request's body; None for none.
            kinds: Media types of the body.
            parameters: From `query`, `path` and `header`.
            refused: With which statuses it may be refused, besides those that any request may.
            open_to_all: Whether it wants no token.
        """
        operation: Operation = {
            "operationId": _identifier(method, route),
            "summary": summary,
            "tags": [self.tag["name"]],
        }
        operation |= {"description": about} if about else {}
        operation |= {"parameters": list(parameters)} if parameters else {}
        if body is not None:
            schema = body if isinstance(body, dict) else self.shape(body)
            operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}
        operation["responses"] = {
            str(status): self._success(text, content) for status, (text, content) in given.items()
        } | self._refusals({*refused, 403, *([] if open_to_all else [401]), *([] if body is None else [400, 413, 415])})
        if open_to_all:
            operation["security"] = []
        self.paths.setdefault(route, {})[method.lower()] = operation

    def _success(self, text: str, content: Any) -> Schema:
        if not isinstance(content, dict):
            content = {} if content is None else {"content": {_JSON: {"schema": self.shape(content)}}}
        headers = {**self._headers, **content.get("headers", {})}
        return {"description": text, **content, **({"headers": headers} if headers else {})}

    def _refusals(self, statuses: Iterable[int]) -> dict[str, Schema]:
        schema, kind = self._error
        return {
            str(status): {"description": _MEANINGS[status], "content": {kind: {"schema": schema}}}
            for status in sorted(statuses)
        }


_MEANINGS = {
    400: "The request makes no sense: the answer says what came, what was expected, and where.",
    401: "The token is missing, or is another.",
    403: "The host or the origin is not one that the service answers to.",
    404: "There is no such thing.",
    405: "The path has other methods.",
    409: "It is in the way of what is there.",
    412: "It has changed: If-Match names another state.",
    413: "It is larger than the limit that the answer names.",
    415: "The body is not JSON, as far as Content-Type says.",
    428: "Say which state is to be replaced.",
    503: "The store can't be used now; try again after Retry-After seconds.",
}


def answers(text: str, **content: Schema) -> tuple[str, Schema]:
    """An answer whose content is not JSON, or that has headers of its own."""
    return text, content


def _identifier(method: str, route: str) -> str:
    words = route.replace("{", "").replace("}", "").replace(":", "/").replace(".", "/").replace("-", "/")
    return "_".join([method.lower(), *filter(None, words.split("/"))])


def query(name: str, about: str, schema: Schema) -> Schema:
    """A parameter of the query."""
    return {"name": name, "in": "query", "description": about, "schema": schema}


def path(name: str, about: str, schema: Schema | None = None) -> Schema:
    """A part of the path."""
    schema = schema or {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def header(name: str, about: str, schema: Schema) -> Schema:
    """A header of the request."""
    return {"name": name, "in": "header", "description": about, "schema": schema}


def texts(values: Iterable[str]) -> Schema:
    """One of *values*, or several with commas."""
    one = "|".join(values)
    return {"type": "string", "pattern": f"^({one})(,({one}))*$"}
