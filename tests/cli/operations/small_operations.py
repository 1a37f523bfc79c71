"""A small service with operations: real alerts and decisions, kept in memory, said as the routes say them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from agentreg.extensions.monitoring import AlertNotFoundError, AlertRule, AlertRuleError, Alerts
from agentreg.extensions.resources import Decision, DecisionLog
from tests.cli.client.small_service import JSON, Refused, SmallService

__all__ = ["SmallOperations"]

OFF = "operations are off: start the service without --no-operations"


def iso(seconds: float | None) -> str | None:
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class SmallOperations(SmallService):
    """The service of one workspace, from the beginning of the block to its end.

    Attributes:
        alerts: The rules and what they say; feed it.
        log: What was decided.
        pending: What waits for a decision, by id.
        resources: What ``/registry/resources`` answers.
        latest: Metric -> agent's id -> value.
        is_off: Whether it is to say that it has no operations.
    """

    def __init__(self, workspace: Path, *, token: str | None = None) -> None:
        super().__init__(workspace, token=token)
        self.now = 0.0
        self.alerts = Alerts(clock=lambda: self.now)
        self.log = DecisionLog()
        self.pending: dict[str, JSON] = {}
        self.resources: JSON = {"budget": {}, "utilization": {}, "hosts": [], "waiting": [], "advice": []}
        self.latest: dict[str, dict[str, float]] = {}
        self.is_off = False

    def burden(self, agent: str, memory: float) -> None:
        """Let *agent* have that part of its memory for as long as a rule may ask."""
        for _ in range(3):
            self.now += 100.0
            self.alerts.observe("memory_usage", agent, memory)
            self.alerts.evaluate()

    def _answer(self, method: str, path: str, body: JSON, shown: str | None) -> JSON:
        place = urlsplit(path)
        parts = [unquote(part) for part in place.path.strip("/").split("/")]
        if parts[0] != "registry":
            return super()._answer(method, path, body, shown)
        self.refusing(path)
        if self.is_off:
            raise Refused(404, OFF)
        query = {name: values[0] for name, values in parse_qs(place.query).items()}
        try:
            answer: JSON = getattr(self, f"_{method.lower()}_{parts[1]}")(parts[2:], body, query)
        except AlertNotFoundError as error:
            raise Refused(404, str(error)) from None
        except (AlertRuleError, ValueError) as error:
            raise Refused(400, str(error)) from None
        return answer

    def _get_stats(self, parts: list[str], body: JSON, query: JSON) -> JSON:
        return {
            "agent_counts": {"total": 3, "active": 2, "idle": 1, "error": 0},
            "resource_utilization": {"memory": "45% (1GB / 2GB)", "cpu": None, "task_queue": "7 pending"},
            "performance_metrics": {"avg_response_time": "1.2s", "success_rate": "98.5%", "uptime": None},
            "top_performers": [{"planner\x1b[31m": "99.9% success rate"}],
            "revision": 4,
        }

    def _get_resources(self, parts: list[str], body: JSON, query: JSON) -> JSON:
        return self.resources

    # -- alerts ---------------------------------------------------------------

    def _get_alerts(self, parts: list[str], body: JSON, query: JSON) -> JSON:
        state = query.get("state", "active")
        active = [self._alert(alert) for alert in self.alerts.active(pending=True)] if state != "history" else []
        over = [self._over(event) for event in self.alerts.history() if event.kind == "resolved"]
        alerts = [*active, *(over if state != "active" else ())]
        rules = [
            {"name": rule.name, "expression": rule.condition, "severity": rule.severity, "metric": rule.metric}
            for rule in self.alerts.rules()
        ]
        silences = [self._silence(each) for each in self.alerts.silences()]
        return {"alerts": alerts, "count": len(alerts), "rules": rules, "silences": silences, "revision": 4}

    def _alert(self, alert: Any) -> JSON:
        seen = alert.acknowledged_by
        return {
            "id": f"{alert.rule}/{alert.agent}" if alert.state == "firing" else f"{alert.rule}/{alert.agent}?",
            **{key: getattr(alert, key) for key in ("rule", "severity", "agent", "state", "value", "silenced")},
            "agent_name": alert.agent,
            "value_text": f"{100 * alert.value:g}%",
            "threshold": 0.9,
            "since": iso(alert.since),
            "fired_at": iso(alert.fired_at),
            "resolved_at": None,
            "reason": None,
            "acknowledged": seen and {"by": seen, "at": iso(alert.acknowledged_at), "note": alert.note},
        }

    def _over(self, event: Any) -> JSON:
        keys = ("rule", "severity", "agent", "value", "silenced", "reason")
        times = {"since": iso(event.since), "fired_at": iso(event.since), "resolved_at": iso(event.at)}
        fields = {key: getattr(event, key) for key in keys}
        return {"id": f"{event.rule}/{event.agent}", "state": "resolved", **fields, **times}

    def _post_alerts(self, parts: list[str], body: JSON, query: JSON) -> JSON:
        if parts == ["rules"]:
            rule = self.alerts.add_rule(AlertRule.parse(body["expression"], name=body["name"]))
            return {"name": rule.name, "expression": rule.condition}
        if parts == ["silences"]:
            until = time.time() + {"1h": 3600.0}[body["for"]]
            options = {key: body[key] for key in ("rule", "agent") if key in body}
            made = self.alerts.silence(**options, until=until, by=body["by"], why=body.get("reason", ""))
            return self._silence(made)
        rule_name, _, agent = parts[0].partition("/")
        seen = self.alerts.acknowledge(rule_name, agent, body["by"], body.get("note", ""))
        return self._alert(seen)

    def _delete_alerts(self, parts: list[str], body: JSON, query: JSON) -> JSON:
        (self.alerts.unsilence if parts[0] == "silences" else self.alerts.remove_rule)(parts[1])
        return {"ok": True}

    def _silence(self, silence: Any) -> JSON:
        shown = {key: None if (text := getattr(silence, key)) == "*" else text for key in ("rule", "agent")}
        return {"id": silence.id, **shown, "until": iso(silence.until), "by": silence.by, "reason": silence.why}

    # -- decisions ------------------------------------------------------------

    def _get_decisions(self, parts: list[str], body: JSON, query: JSON) -> JSON:
        if parts == ["pending"]:
            return {"pending": list(self.pending.values())}
        found = self.log.decisions(query.get("name"))[-int(query.get("limit", "100")) :]
        return {"decisions": [self._decision(each) for each in reversed(found)], "count": len(found)}

    def _decision(self, decision: Decision) -> JSON:
        fields = decision.to_dict()
        return {"time": fields.pop("when").replace("+00:00", "Z"), **fields}

    def _post_decisions(self, parts: list[str], body: JSON, query: JSON) -> JSON:
        waiting = self.pending.get(parts[0])
        if waiting is None:
            raise Refused(404, f"there is no decision {parts[0]!r} that waits")
        if body["choice"] not in waiting["choices"]:
            raise Refused(400, f"choice: expected {' or '.join(waiting['choices'])}, got {body['choice']!r}")
        return self.pending.pop(parts[0])

    # -- metrics --------------------------------------------------------------

    def _get_metrics(self, parts: list[str], body: JSON, query: JSON) -> JSON:
        if parts == ["latest"]:
            return {"metric": query["metric"], "values": self.latest.get(query["metric"], {})}
        if "metric" in query:
            values = self.latest.get(query["metric"], {}).values()
            return {"points": [{"time": iso(float(at)), "mean": sum(values) * at} for at in range(3)]}
        return {"metrics": [{"name": name, "unit": "fraction", "agents": 1} for name in self.latest]}
