"""The three plans that are shipped, put together from what you have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from agentreg.extensions.monitoring.recovery.checks import ResourceLimits, Usage
from agentreg.extensions.monitoring.recovery.finding import CONNECTION_FAILURES, RESOURCES_EXHAUSTED, UNRESPONSIVE
from agentreg.extensions.monitoring.recovery.plan import Case, RecoveryPlan, Step, StepFunction
from agentreg.extensions.monitoring.recovery.tasks import TaskQueue, give_tasks_to_others

if TYPE_CHECKING:
    from agentreg.extensions.monitoring.recovery.children import Children

__all__ = ["connection_plan", "resources_plan", "unresponsive_plan"]


def unresponsive_plan(
    *,
    restart: StepFunction | None = None,
    children: Children | None = None,
    queue: TaskQueue | None = None,
    others: Callable[[str], Iterable[str]] = lambda agent: (),
    notify: StepFunction | None = None,
    patience: float = 5.0,
) -> RecoveryPlan:
    """The plan for agents that do not answer; steps for which nothing is given are left out.

    1. *restart gracefully* (*restart*, a `GracefulRestart` for example);
    2. *end its process* and 3. *start its process again*, if *children*
       started one under the agent's name: SIGTERM, and SIGKILL after
       *patience* seconds;
    4. *clear its queue* and 5. *give its tasks to others* (*others* says
       who, for an agent's name), unless the agent is back: no task is
       thrown away;
    6. *notify*, in any case.

    Raises ValueError if nothing is given at all.
    """
    steps = [Step("restart gracefully", restart, restarts=True)] if restart else []
    if children is not None:
        steps.append(Step("end its process", _ending(children, patience), 2 * patience + 5))
        steps.append(Step("start its process again", _starting(children), restarts=True))
    if queue is not None:
        steps.append(Step("clear its queue", lambda case: queue.suspend(case.agent), 10))
        steps.append(Step("give its tasks to others", _giving(queue, others), 10))
        steps.append(Step("let it take tasks again", lambda case: _resume(queue, case), 10, only_if_needed=False))
    steps += _telling(notify)
    return RecoveryPlan(UNRESPONSIVE, tuple(steps))


def resources_plan(
    *,
    usage: Callable[[], Mapping[str, Usage]],
    limit: Callable[[list[str]], Any] | None = None,
    redistribute: Callable[[list[str]], Any] | None = None,
    scale_up: Callable[[list[str]], Any] | None = None,
    limits: ResourceLimits | None = None,
    notify: StepFunction | None = None,
) -> RecoveryPlan:
    """The plan for agents whose resources are exhausted.

    1. *find the hogs*: of all agents in *usage*, those over a limit, the
       worst first, into ``case.notes["hogs"]``;
    2. *limit them*, 3. *redistribute*, 4. *ask to scale up*: your functions,
       which are handed the hogs, each until one of them returns True;
    5. *notify*, in any case.
    """
    bounds = ResourceLimits() if limits is None else limits
    steps = [Step("find the hogs", _finding(usage, bounds))]
    for name, function in (("limit them", limit), ("redistribute", redistribute), ("ask to scale up", scale_up)):
        if function is not None:
            steps.append(Step(name, _with_hogs(function)))
    return RecoveryPlan(RESOURCES_EXHAUSTED, (*steps, *_telling(notify)))


def connection_plan(
    *,
    reconnect: StepFunction | None = None,
    fall_back: StepFunction | None = None,
    tell_dependents: StepFunction | None = None,
    update_routes: StepFunction | None = None,
    notify: StepFunction | None = None,
) -> RecoveryPlan:
    """The plan for connections that fail.

    1. *connect again* (`Reconnect`); 2. *fall back to another server*
    (`FallBack`), unless that has helped; 3. *tell its dependents* and
    4. *update the routes*, unless the connection itself is back; 5. *notify*,
    in any case.
    """
    steps = [Step("connect again", reconnect, 60)] if reconnect else []
    steps += [Step("fall back to another server", fall_back, 60)] if fall_back else []
    for name, function in (("tell its dependents", tell_dependents), ("update the routes", update_routes)):
        if function is not None:
            steps.append(Step(name, _unless_reconnected(function), only_if_needed=False))
    return RecoveryPlan(CONNECTION_FAILURES, (*steps, *_telling(notify)))


def _telling(notify: StepFunction | None) -> list[Step]:
    return [Step("notify", notify, only_if_needed=False)] if notify else []


def _ending(children: Children, patience: float) -> StepFunction:
    def end(case: Case) -> None:
        if children.get(case.agent) is not None:
            case.notes["ended"] = children.end(case.agent, patience)

    return end


def _starting(children: Children) -> StepFunction:
    def start(case: Case) -> bool:
        if "ended" not in case.notes:
            return False
        case.notes["child"] = children.restart(case.agent)
        return True

    return start


def _giving(queue: TaskQueue, others: Callable[[str], Iterable[str]]) -> StepFunction:
    def give(case: Case) -> None:
        case.notes["given"] = give_tasks_to_others(queue, case.agent, others(case.agent))

    return give


def _resume(queue: TaskQueue, case: Case) -> None:
    if case.recovered:
        queue.resume(case.agent)


def _finding(usage: Callable[[], Mapping[str, Usage]], limits: ResourceLimits) -> StepFunction:
    def find(case: Case) -> None:
        excess = {agent: limits.excess(used) for agent, used in usage().items()}
        hogs = [agent for agent in excess if excess[agent] >= 1]
        case.notes["hogs"] = sorted(hogs, key=excess.__getitem__, reverse=True)

    return find


def _with_hogs(function: Callable[[list[str]], Any]) -> StepFunction:
    def call(case: Case) -> Any:
        return function(list(case.notes.get("hogs", ())))

    return call


def _unless_reconnected(function: StepFunction) -> StepFunction:
    def call(case: Case) -> Any:
        if case.recovered and "server" not in case.notes:
            return None
        return function(case)

    return call
