"""Whether Cruise Control can be asked to move anything. Pure; called by cluster_checks.py."""

from agent.core.checks.check_input import ClusterCheckInput
from agent.core.model.executor import Executor
from agent.core.model.reasons import CheckResult, Code


def reachable(cluster_input: ClusterCheckInput) -> CheckResult:
    """Cruise Control answers."""
    cc = cluster_input.cruise_control
    code = Code.CRUISE_CONTROL_UNREACHABLE
    if cc.reachable:
        return CheckResult(
            code=code, ok=True, seen="Cruise Control answers", needed="an answer", passing=True
        )
    if cc.trouble is not None:
        code, seen = cc.trouble.code, cc.trouble.seen
    else:
        seen = "no answer"
    passing = code is not Code.CRUISE_CONTROL_REJECTED
    return CheckResult(code=code, ok=False, seen=seen, needed="an answer", passing=passing)


def _not_known(code: Code, what: str, needed: str) -> CheckResult:
    """A result that is neither passed nor a reason, since Cruise Control did not answer;
    `reachable` says why.
    """
    return CheckResult(
        code=code, ok=False, seen=f"not known: {what}", needed=needed, passing=True, unknown=True
    )


def idle(cluster_input: ClusterCheckInput) -> CheckResult:
    """Cruise Control executes nothing: it allows one execution at a time, whoever asks."""
    cc = cluster_input.cruise_control
    if not cc.reachable:
        return _not_known(
            Code.CRUISE_CONTROL_BUSY,
            "Cruise Control did not say what it executes",
            "an idle executor",
        )
    idle = cc.executor is Executor.IDLE
    whose = "our own " if cc.executor is Executor.OURS else ""
    why = f" for {whose}'{cc.executor_reason}'" if cc.executor_reason else ""
    seen = "its executor is idle" if idle else f"its executor is {cc.executor_state}{why}"
    return CheckResult(
        code=Code.CRUISE_CONTROL_BUSY, ok=idle, seen=seen, needed="an idle executor", passing=True
    )


def ready(cluster_input: ClusterCheckInput) -> CheckResult:
    """Cruise Control has metrics to plan with.

    A dry run that answers 200 proves it. The number of valid windows was seen to be wrong in both
    directions.
    """
    cc = cluster_input.cruise_control
    if not cc.reachable:
        return _not_known(
            Code.CRUISE_CONTROL_NOT_READY,
            "Cruise Control did not say how many valid windows it has",
            "a valid window",
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
            seen="not asked: the agent moves this wave itself",
        )
    seen = f"{cc.valid_windows} valid windows" + (
        ", and a dry run answers" if cc.dryrun_answers else ""
    )
    ok = cc.valid_windows > 0 or cc.dryrun_answers
    return CheckResult(
        code=Code.CRUISE_CONTROL_NOT_READY, ok=ok, seen=seen, needed="a valid window", passing=True
    )


def no_self_healing(cluster_input: ClusterCheckInput) -> CheckResult:
    """Self-healing is off: a source that is shut down after the move looks failed, and Cruise
    Control would move replicas.
    """
    cc = cluster_input.cruise_control
    if not cc.reachable:
        return _not_known(
            Code.SELF_HEALING_ON,
            "Cruise Control did not say whether self-healing is on",
            "self-healing off",
        )
    on = ", ".join(cc.self_healing)
    seen = f"self-healing is on for {on}" if on else "self-healing is off"
    return CheckResult(code=Code.SELF_HEALING_ON, ok=not on, seen=seen, needed="self-healing off")
