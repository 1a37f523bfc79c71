"""Pipelines: registering and deregistering an agent as named steps, each with an undo."""

from agentreg.extensions.resources.pipelines.departures import following_departures
from agentreg.extensions.resources.pipelines.deregistering import DeregistrationRequest
from agentreg.extensions.resources.pipelines.deregistration import DEREGISTRATION_STEPS, DeregistrationPipeline
from agentreg.extensions.resources.pipelines.enrolment import Connections, Enrolment, Lease, Notice
from agentreg.extensions.resources.pipelines.entering import Entering, LiveAgents, LiveToken
from agentreg.extensions.resources.pipelines.errors import PipelineError, TasksActiveError
from agentreg.extensions.resources.pipelines.pipeline import Pipeline, PipelineResult
from agentreg.extensions.resources.pipelines.registration import (
    REGISTRATION_STEPS,
    RegistrationPipeline,
    RegistrationResult,
)
from agentreg.extensions.resources.pipelines.step import Run, Skipped, Step
from agentreg.extensions.resources.pipelines.tasks import TaskDesk, least_busy

__all__ = [
    "DEREGISTRATION_STEPS",
    "REGISTRATION_STEPS",
    "Connections",
    "DeregistrationPipeline",
    "DeregistrationRequest",
    "Enrolment",
    "Entering",
    "Lease",
    "LiveAgents",
    "LiveToken",
    "Notice",
    "Pipeline",
    "PipelineError",
    "PipelineResult",
    "RegistrationPipeline",
    "RegistrationResult",
    "Run",
    "Skipped",
    "Step",
    "TaskDesk",
    "TasksActiveError",
    "following_departures",
    "least_busy",
]
