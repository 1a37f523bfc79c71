"""``/registry/alerts``: what fires, what did, silences, rules."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentreg.extensions.monitoring import AlertNotFoundError, AlertRule, AlertRuleError
from agentreg.extensions.service.operations.alerting import rule_shown, silence_shown
from agentreg.extensions.service.operations.answering import Desk, answer
from agentreg.extensions.service.operations.asking import limit_of, moment, only, span
from agentreg.extensions.service.operations.monitor import Monitor
from agentreg.extensions.service.refusals import Refusal, unavailable

__all__ = ["AlertRoutes", "NewRule", "NewSilence", "Seen"]

_STATES = ("active", "history", "all")
_SOMEBODY = "somebody"
_RULES = 200
_LONGEST = 366 * 86_400.0  # seconds of a silence


class Seen(msgspec.Struct):
    """The body that acknowledges an alert."""

    by: str | None = None
    note: str | None = None


class NewSilence(msgspec.Struct, rename={"lasts": "for"}):
    """The body that makes a silence: for a while, or until a moment; patterns of a rule's name and of an agent's id."""

    rule: str | None = None
    agent: str | None = None
    lasts: str | None = None
    until: str | None = None
    by: str | None = None
    reason: str | None = None


class NewRule(msgspec.Struct):
    """The body that adds a rule."""

    name: str
    expression: str


_seen = msgspec.json.Decoder(Seen)
_silence = msgspec.json.Decoder(NewSilence)
_rule = msgspec.json.Decoder(NewRule)


class AlertRoutes:
    """The routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """They."""
        return [
            Route("/registry/alerts", self.list, methods=["GET"]),
            Route("/registry/alerts/silences", self.silence, methods=["POST"]),
            Route("/registry/alerts/silences/{silence_id}", self.unsilence, methods=["DELETE"]),
            Route("/registry/alerts/rules", self.add_rule, methods=["POST"]),
            Route("/registry/alerts/rules/{rule_name:path}", self.remove_rule, methods=["DELETE"]),
            Route("/registry/alerts/{alert_id}/acknowledge", self.acknowledge, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        only(request, "state", "limit")
        monitor = await self._desk.operations.monitor()
        state, limit = request.query_params.get("state", "active"), limit_of(request)
        if state not in _STATES:
            raise Refusal(400, f"state: expected {', '.join(_STATES)}; got {state[:80]!r}")
        found = [] if state == "history" else monitor.desk.active()
        found += [] if state == "active" else monitor.desk.history()
        content = {
            "alerts": found[:limit],
            "count": len(found),
            "rules": list(map(rule_shown, monitor.alerts.rules())),
            "silences": list(map(silence_shown, monitor.alerts.silences())),
            "revision": self._desk.revision(),
        }
        return answer(content)

    async def acknowledge(self, request: Request) -> Response:
        said = await self._desk.body(request, _seen)
        operations = self._desk.operations
        monitor = await operations.monitor()
        alert_id = request.path_params["alert_id"]
        return answer(
            await _done(operations.do(monitor.desk.acknowledge, alert_id, said.by or _SOMEBODY, said.note or ""))
        )

    async def silence(self, request: Request) -> Response:
        said = await self._desk.body(request, _silence)
        operations = self._desk.operations
        monitor = await operations.monitor()
        until = _until(said, operations.clocks.wall())
        rule, agent, by, why = said.rule or "*", said.agent or "*", said.by or _SOMEBODY, said.reason or ""
        made = await _done(operations.do(lambda: monitor.alerts.silence(rule, agent, until=until, by=by, why=why)))
        return answer(silence_shown(made), 201)

    async def unsilence(self, request: Request) -> Response:
        operations = self._desk.operations
        monitor = await operations.monitor()
        await _done(operations.do(monitor.alerts.unsilence, request.path_params["silence_id"]))
        return answer({"ok": True})

    async def add_rule(self, request: Request) -> Response:
        said = await self._desk.body(request, _rule)
        operations = self._desk.operations
        monitor = await operations.monitor()
        return answer(rule_shown(await _done(operations.do(_add, monitor, said))), 201)

    async def remove_rule(self, request: Request) -> Response:
        operations = self._desk.operations
        monitor = await operations.monitor()
        operations.tell(monitor, await _done(operations.do(_remove, monitor, request.path_params["rule_name"])))
        return answer({"ok": True})


async def _done(work: Any) -> Any:
    try:
        return await work
    except AlertNotFoundError as error:
        raise Refusal(404, str(error)) from None
    except AlertRuleError as error:
        raise Refusal(400, str(error), "/expression") from None
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    except sqlite3.Error as error:
        raise unavailable(error) from None


def _add(monitor: Monitor, said: NewRule) -> AlertRule:
    if not said.name.strip():
        raise Refusal(400, "name: expected a name, got empty text", "/name")
    rule = AlertRule.parse(said.expression, name=said.name)
    rules = monitor.alerts.rules()
    if len(rules) >= _RULES:
        raise Refusal(409, f"there are {_RULES} rules already, the limit; delete some, or use patterns of agents")
    if any(each.name == rule.name for each in rules):
        raise Refusal(
            409, f"name: there is a rule {rule.name[:80]!r} already; delete it first, or name this one", "/name"
        )
    monitor.rules.keep(rule.name, rule.condition)
    return monitor.alerts.add_rule(rule)


def _remove(monitor: Monitor, name: str) -> Any:
    events = monitor.alerts.remove_rule(name)
    monitor.rules.keep(name, None)
    return events


def _until(said: NewSilence, now: float) -> float:
    if (said.lasts is None) == (said.until is None):
        raise Refusal(400, 'expected either "for" (as "1h") or "until" (as "2030-01-01T12:00:00Z")', "/for")
    if said.lasts is not None:
        seconds = span(said.lasts)
        if seconds is None or not 0 < seconds <= _LONGEST:
            raise Refusal(
                400, f"for: expected a span up to 366 days, as 30m, 1h or 7d; got {said.lasts[:80]!r}", "/for"
            )
        return now + seconds
    until = moment("until", said.until, now)
    if until is None or not now < until <= now + _LONGEST:
        raise Refusal(400, f"until: expected a time to come, within 366 days; got {said.until!r:.80}", "/until")
    return until
