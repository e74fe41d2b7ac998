"""The JSON of `state`, with the recorded keys."""

from collections.abc import Collection, Mapping
from typing import Any

from deploy.lab.standin.goals import MODEL_BASED_GOALS, NOT_ALL_TOPICS_GOALS, STOCK_GOALS
from deploy.lab.standin.monitor import BrokerFailure
from deploy.lab.standin.parameters import ANOMALY_TYPES


def analyzer_state(*, ready: bool, verbose: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "isProposalReady": False,
        "readyGoals": list(STOCK_GOALS) if ready else [],
    }
    if verbose:
        body["goalReadiness"] = [
            {
                "name": goal,
                "modelCompleteRequirement": {
                    "requiredNumSnapshots": 1,
                    "minMonitoredPartitionsPercentage": 0.0 if goal in MODEL_BASED_GOALS else 0.95,
                    "includeAllTopics": goal not in NOT_ALL_TOPICS_GOALS,
                },
                "status": "ready" if ready else "notReady",
            }
            for goal in STOCK_GOALS
        ]
    return body


def monitor_state(
    *, windows: int, loading: float | None, now: float, verbose: bool
) -> dict[str, Any]:
    """The numbers of partitions are zero while no window is complete, as recorded."""
    body: dict[str, Any] = {
        "state": "RUNNING" if loading is None else "LOADING",
        "trained": False,
        "trainingPct": 0.8 * windows,
        "numMonitoredWindows": windows,
        "monitoringCoveragePct": 0.0,
        "numFlawedPartitions": 0 if loading is None else -1,
        "numTotalPartitions": 0,
        "numValidPartitions": 0,
    }
    if loading is None:
        body["reasonOfLatestPauseOrResume"] = "N/A"
    else:
        body["loadingProgressPct"] = loading
    if verbose:
        body["monitoredWindows"] = {
            str((int(now) // 20 - back) * 20_000): 1.0 for back in range(windows)
        }
    return body


def anomaly_detector_state(
    failures: Collection[BrokerFailure], self_healing: Mapping[str, bool], balancedness: float
) -> dict[str, Any]:
    return {
        "selfHealingEnabled": [name for name in ANOMALY_TYPES if self_healing[name]],
        "selfHealingDisabled": [name for name in ANOMALY_TYPES if not self_healing[name]],
        "selfHealingEnabledRatio": {
            name: 1.0 if self_healing[name] else 0.0 for name in ANOMALY_TYPES
        },
        "recentBrokerFailures": [
            {
                "anomalyId": failure.anomaly_id,
                "failedBrokersByTimeMs": {
                    str(broker): int(at * 1000) for broker, at in failure.failed.items()
                },
                "detectionMs": int(failure.detected * 1000),
                "statusUpdateMs": int(failure.detected * 1000),
                "status": "CHECK_WITH_DELAY",
            }
            for failure in failures
        ],
        "recentGoalViolations": [],
        "recentDiskFailures": [],
        "recentMetricAnomalies": [],
        "recentTopicAnomalies": [],
        "recentMaintenanceEvents": [],
        "metrics": {
            "meanTimeBetweenAnomaliesMs": dict.fromkeys(ANOMALY_TYPES, 0.0),
            "meanTimeToStartFixMs": 0.0,
            "numSelfHealingStarted": 0,
            "numSelfHealingFailedToStart": 0,
            "ongoingAnomalyDurationMs": 0,
        },
        "balancednessScore": balancedness,
    }
