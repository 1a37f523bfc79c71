"""The routes of a document store, described."""

from __future__ import annotations

from typing import Any

from agentreg.extensions.service.docstore import shapes
from agentreg.extensions.service.openapi.parts import Group

__all__ = ["document_store"]

_VERBS: dict[str, tuple[str, Any, Any, tuple[int, ...]]] = {
    "create-table": ("Make the table, which is there already", shapes.TableDraft, shapes.Done, ()),
    "insert": ("Add a row", shapes.Insert, shapes.Inserted, (404, 409, 503)),
    "query": ("Find rows", shapes.Query, shapes.Found, (404, 503)),
    "update": ("Set columns of rows", shapes.Update, shapes.Changed, (404, 409, 503)),
    "remove": ("Remove rows", shapes.Remove, shapes.Changed, (404, 503)),
}


def document_store() -> Group:
    """Logging in, and a verb for each thing that can be done with rows."""
    group = Group(
        "document store",
        "The same definitions for clients of js-doc-store-server: the table `agents`. Filters know $eq, $ne, $gt, "
        "$gte, $lt, $lte, $in, $regex, $exists, $not, $and and $or.",
        "DocStore",
        ({"$ref": "#/components/schemas/DocStoreFailure"}, "application/json"),
    )
    group.shape(shapes.Failure)
    group.add(
        "POST",
        "/auth/login",
        "Log in",
        {200: ("A token that expires.", shapes.LoggedIn)},
        about="The password is the service's token; a service without one takes any. The email may be any.",
        body=shapes.LogIn,
        refused=(401,),
        open_to_all=True,
    )
    for verb, (summary, body, answer, refused) in _VERBS.items():
        group.add("POST", f"/admin/{verb}", summary, {200: ("It was done.", answer)}, body=body, refused=refused)
        group.paths[f"/admin/{verb}"]["post"]["security"] = [{"login": []}, {"token": []}]
    return group
