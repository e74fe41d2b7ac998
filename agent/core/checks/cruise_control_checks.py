"""Whether Cruise Control can be asked to move anything. Pure; called by cluster_checks.py."""

from agent.core.checks.check_input import ClusterCheckInput
from agent.core.model.executor import Executor
from agent.core.model.reasons import CheckResult, Code


def reachable(cluster_input: ClusterCheckInput) -> CheckResult:
    """No Cruise Control, no move."""
    cc = cluster_input.cruise_control
    code = Code.CRUISE_CONTROL_UNREACHABLE
    if cc.reachable:
        return CheckResult(code=code, ok=True, seen="it answers", needed="an answer", passing=True)
    if cc.trouble is not None:
        code, seen = cc.trouble.code, cc.trouble.seen
    else:
        seen = "no answer"
    passing = code is not Code.CRUISE_CONTROL_REJECTED
    return CheckResult(code=code, ok=False, seen=seen, needed="an answer", passing=passing)


def _not_known(code: Code, what: str, needed: str) -> CheckResult:
    """Not green, since nobody could look; why not is told by `reachable`."""
    return CheckResult(
        code=code, ok=False, seen=f"not known: {what}", needed=needed, passing=True, unknown=True
    )


def idle(cluster_input: ClusterCheckInput) -> CheckResult:
    """One execution at a time, whoever asked for it."""
    cc = cluster_input.cruise_control
    if not cc.reachable:
        return _not_known(
            Code.CRUISE_CONTROL_BUSY, "it could not be asked what it executes", "an idle executor"
        )
    idle = cc.executor is Executor.IDLE
    why = f" for '{cc.executor_reason}'" if cc.executor_reason else ""
    seen = "its executor is idle" if idle else f"its executor is {cc.executor_state}{why}"
    return CheckResult(
        code=Code.CRUISE_CONTROL_BUSY, ok=idle, seen=seen, needed="an idle executor", passing=True
    )


def ready(cluster_input: ClusterCheckInput) -> CheckResult:
    """A dry run that answers 200 is the readiness test; valid windows alone were seen to lie
    both ways.
    """
    cc = cluster_input.cruise_control
    if not cc.reachable:
        return _not_known(
            Code.CRUISE_CONTROL_NOT_READY, "it could not be asked for its windows", "a valid window"
        )
    if cc.dryrun is not None:
        passing = cc.dryrun.code not in (
            Code.CRUISE_CONTROL_REJECTED,
            Code.CRUISE_CONTROL_LOGIN_REFUSED,
        )
        return CheckResult(
            code=cc.dryrun.code,
            ok=False,
            seen=cc.dryrun.seen,
            needed=cc.dryrun.needed,
            passing=passing,
        )
    if cc.valid_windows is None:
        return CheckResult(
            code=Code.CRUISE_CONTROL_NOT_READY,
            ok=True,
            seen=("not asked: it has no part in this wave"),
        )
    seen = f"{cc.valid_windows} valid windows" + (
        ", and a dry run answers" if cc.dryrun_answers else ""
    )
    ok = cc.valid_windows > 0 or cc.dryrun_answers
    return CheckResult(
        code=Code.CRUISE_CONTROL_NOT_READY, ok=ok, seen=seen, needed="a valid window", passing=True
    )


def no_self_healing(cluster_input: ClusterCheckInput) -> CheckResult:
    """A broker that is shut down after the move looks like a failed one, and would be healed."""
    cc = cluster_input.cruise_control
    if not cc.reachable:
        return _not_known(
            Code.SELF_HEALING_ON, "it could not be asked whether it heals", "self-healing off"
        )
    on = ", ".join(cc.self_healing)
    seen = f"it heals by itself: {on}" if on else "it does nothing by itself"
    return CheckResult(code=Code.SELF_HEALING_ON, ok=not on, seen=seen, needed="self-healing off")
