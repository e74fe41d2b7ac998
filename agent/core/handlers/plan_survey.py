"""Answers the `plan` or `start` that a survey of the cluster was made for.

Called by effect_outcomes.py.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import MakePlan, PrepareMigration
from agent.core.handlers import answers, flow, kraft_commands
from agent.core.migration import RESTING
from agent.core.model.reasons import Code, Reason
from agent.core.step import StepContext


def surveyed(ctx: StepContext, effect: MakePlan | PrepareMigration, outcome: msg.Outcome) -> None:
    """Publishes the plan, or starts the migration; refuses the command where a reason is against
    it.
    """
    considered = answers.considered_command(ctx, effect.command_id)
    if considered is None:
        return
    if isinstance(outcome, (msg.Busy, msg.Unreachable, msg.Rejected)):
        outcome = msg.Surveyed(reasons=(outcome.reason,), plan=None)
    assert isinstance(outcome, msg.Surveyed), outcome
    plan, reasons, check_results = outcome.plan, outcome.reasons, outcome.check_results
    if isinstance(effect, MakePlan):
        answers.accept(ctx, considered)
        ctx.emit(
            ev.PlanMade(
                at=ctx.at,
                command_id=effect.command_id,
                plan=plan,
                reasons=reasons,
                check_results=check_results,
                blocked_waves=outcome.blocked_waves,
                load=outcome.load,
            )
        )
        return
    # A rollback or a retry may have begun while the cluster was surveyed.
    if ctx.migration.phase not in RESTING:
        reasons = (
            *reasons,
            Reason(Code.ALREADY_RUNNING, f"{ctx.migration.migration_id} is {ctx.migration.phase}"),
        )
    reasons = (*reasons, *kraft_commands.reasons_against_moves(ctx))
    if plan is None or reasons:
        answers.refuse(ctx, considered, *reasons)
        return
    answers.accept(ctx, considered)
    ctx.emit(
        ev.MigrationStarted(
            at=ctx.at,
            migration_id=effect.migration_id,
            command_id=considered.command_id,
            options=effect.options,
            plan=plan,
            snapshot_partitions=outcome.snapshot_partitions,
        )
    )
    flow.advance(ctx)
