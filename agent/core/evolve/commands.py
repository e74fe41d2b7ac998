"""Folds commands and their answers into the state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.migration import CommandAnswer, Migration
from agent.core.planning.wave import with_new_plan

ANSWERS_MAX = 64  # a repeated command is recognised among the last so many


def _command_considered(migration: Migration, event: ev.CommandConsidered) -> Migration:
    return replace(migration, considered=(*migration.considered, event))


def _answered(migration: Migration, answer: CommandAnswer) -> Migration:
    others = tuple(a for a in migration.answers if a.command_id != answer.command_id)
    return replace(
        migration,
        answers=(*others, answer)[-ANSWERS_MAX:],
        considered=tuple(c for c in migration.considered if c.command_id != answer.command_id),
    )


def _command_accepted(migration: Migration, event: ev.CommandAccepted) -> Migration:
    return _answered(
        migration, CommandAnswer(command_id=event.command_id, command=event.command, accepted=True)
    )


def _command_refused(migration: Migration, event: ev.CommandRefused) -> Migration:
    return _answered(
        migration,
        CommandAnswer(
            command_id=event.command_id,
            command=event.command,
            accepted=False,
            reasons=event.reasons,
        ),
    )


def _plan_made(migration: Migration, event: ev.PlanMade) -> Migration:
    return (
        replace(migration, plans=with_new_plan(migration.plans, event.plan))
        if event.plan
        else migration
    )


FOLDS: dict[type[ev.Event], Callable[[Migration, Any], Migration]] = {
    ev.CommandConsidered: _command_considered,
    ev.CommandAccepted: _command_accepted,
    ev.CommandRefused: _command_refused,
    ev.PlanMade: _plan_made,
}
