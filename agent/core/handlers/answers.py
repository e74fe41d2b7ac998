"""Answers commands: each is accepted or refused exactly once, and a repeat gets the same answer.

Called by decide.py, commands.py, kraft_commands.py and plan_survey.py.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.model.reasons import Reason
from agent.core.planning.options import Options
from agent.core.step import StepContext

CONSIDERED_MAX = 4  # commands that may wait for a survey at the same time

# The words of the control topic.
COMMAND_NAMES: dict[type[msg.Command], str] = {
    msg.PlanMigration: "plan",
    msg.StartMigration: "start",
    msg.PauseMigration: "pause",
    msg.ResumeMigration: "resume",
    msg.RollBackMigration: "rollback",
    msg.CancelMigration: "cancel",
    msg.TuneMigration: "tune",
    msg.ApproveMigration: "approve",
    msg.RetryWave: "retry",
    msg.SkipWave: "skip",
    msg.KraftCommand: "kraft",
    msg.RefuseCommand: "command",
}


def is_repeat(ctx: StepContext, command: msg.Command) -> bool:
    """Whether this command_id was met before; if so, gives the first answer once more."""
    if any(c.command_id == command.command_id for c in ctx.migration.considered):
        return True  # its answer is on the way
    first = ctx.migration.answer(command.command_id)
    if first is None:
        return False
    if first.accepted:
        ctx.emit(
            ev.CommandAccepted(
                at=ctx.at, command_id=first.command_id, command=first.command, repeat=True
            )
        )
    else:
        ctx.emit(
            ev.CommandRefused(
                at=ctx.at,
                command_id=first.command_id,
                command=first.command,
                reasons=first.reasons,
                repeat=True,
            )
        )
    return True


def considered_command(ctx: StepContext, command_id: str) -> ev.CommandConsidered | None:
    """The command that waits for a survey under this id, if any."""
    return next((c for c in ctx.migration.considered if c.command_id == command_id), None)


def consider(ctx: StepContext, command: msg.Command, options: Options) -> None:
    """Records that the answer has to wait for a survey of the cluster."""
    ctx.emit(
        ev.CommandConsidered(
            at=ctx.at,
            command_id=command.command_id,
            command=_name(command),
            issued_by=command.issued_by,
            reason=command.reason,
            options=options,
        )
    )


def accept(ctx: StepContext, command: msg.Command | ev.CommandConsidered) -> None:
    """Answers that the command is obeyed."""
    ctx.emit(
        ev.CommandAccepted(
            at=ctx.at,
            command_id=command.command_id,
            command=_name(command),
            issued_by=command.issued_by,
            reason=command.reason,
        )
    )


def refuse(ctx: StepContext, command: msg.Command | ev.CommandConsidered, *reasons: Reason) -> None:
    """Answers that the command is not obeyed, with every reason."""
    ctx.emit(
        ev.CommandRefused(
            at=ctx.at,
            command_id=command.command_id,
            command=_name(command),
            reasons=reasons,
            issued_by=command.issued_by,
        )
    )


def _name(command: msg.Command | ev.CommandConsidered) -> str:
    if isinstance(command, ev.CommandConsidered):
        return command.command
    return command.word if isinstance(command, msg.KraftCommand) else COMMAND_NAMES[type(command)]
