"""What each recorded answer of a real Cruise Control to remove_broker means for what to do next."""

import json

import pytest

from agent.adapters.cruise_control.answers import classify
from agent.core.messages import Busy, ExecutionRequested, Rejected, Unreachable
from agent.core.model.reasons import Code
from tests.contract.recordings import FOLDER, recording, refusal_of
from tests.contract.scripted import REQUEST, Script, client_of, replay

# Every recorded answer to remove_broker, by what it means for what to do next.
MEANINGS: dict[tuple[type, Code | None], str] = {
    (ExecutionRequested, None): """
        027-remove_broker-dryrun-article 028-remove_broker-dryrun-article-verbose
        029-remove_broker-execute-article
        031-remove_broker-execute-article-poll-INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS
        044-remove_broker-execute-article-poll-LEADER_MOVEMENT_TASK_IN_PROGRESS
        046-remove_broker-execute-article-poll-NO_TASK_IN_PROGRESS
        048-remove_broker-execute-article-final 053-rollback-dryrun-11-recently-removed
        054-rollback-dryrun-11-recently-removed-exclude-true
        055-rollback-dryrun-11-recently-removed-exclude-false 058-rollback-dryrun-after-drop
        059-rollback-execute-31-11 060-inflight-remove-11-31-conc5 063-inflight-second-dryrun
        082-stop-user-task-poll-after 086-resume-after-stop-execute 092-throttled-5MBps-execute
        095-kill9-execute-throttled 109-resume-to-completion 110-err-empty-source-11-again
        118-missing-destination-12 120-err-concurrency-5000 121-err-interval-1000
        122-err-throttle-0 124-dryrun-goals-rackaware-only 126-dryrun-goals-hard-only
        127-dryrun-dryRun-camelcase 128-no-dryrun-param-get_response_schema
        132-external-remove-13-33-execute-noRack 146-three-brokers-dryrun
        147-three-brokers-dryrun-hardgoals 148-three-brokers-dryrun-rackonly
        149-one-broker-dryrun-stock 150-one-broker-dryrun-hardgoals 151-three-brokers-execute
        152-three-brokers-rollback-execute 155-destkill-execute
        166-destkill-dryrun-remove-dead-31 169-own-ongoing-first 174-zkdown-dryrun
        197-review-14-submit-with-only-review_id 198-review-15-poll 206-zkkill-execute
        212-deadempty33-dryrun-11-31 214-deadsource11-dryrun-11-31 215-deadsource11-dryrun-12-32
        217-dead11-confirmed-dryrun-11-31 219-dead33-confirmed-dryrun-12-32
        220-dead33-confirmed-dryrun-11-31 330-strategy-unknown-dryrun 331-reason-empty
        332-excluded-topics-dryrun 333-brokerid-twice 340-execute-nothing-left""",
    # An execution runs, or a partition that moves has more replicas than there are racks.
    (Busy, Code.CRUISE_CONTROL_BUSY): """
        064-inflight-second-execute-other 065-inflight-same-request-again
        103-kill9-external-ongoing-dryrun 104-kill9-external-ongoing-execute
        105-kill9-external-ongoing-execute-stop_ongoing 131-external-remove-13-33-execute
        140-external-stop_ongoing_execution-2 143-extonly-dryrun 144-extonly-execute-autostop
        170-own-ongoing-stop_ongoing_execution 172-own-ongoing-retry""",
    # There are no windows, it does not know a broker, or another broker is dead.
    (Busy, Code.CRUISE_CONTROL_NOT_READY): """
        005-remove_broker-fresh-start-dryrun 113-err-unknown-broker-99
        114-err-unknown-destination-98 153-one-broker-hardgoals-execute
        154-one-broker-hardgoals-rollback 163-destkill-dryrun-12-32
        165-destkill-dryrun-11-31-dest-dead 168-destkill-execute-12-32-while-31-dead
        216-dead11-confirmed-dryrun-12-32""",
    # The user task that is polled ended with the process.
    (Unreachable, Code.CRUISE_CONTROL_UNREACHABLE): "101-kill9-restarted-poll-old-tid",
    # The role of the user is too low.
    (Rejected, Code.CRUISE_CONTROL_LOGIN_REFUSED): (
        "180-auth-user-remove_broker 181-auth-viewer-remove_broker"
    ),
    # The rack or a parameter is wrong, or two-step verification refuses.
    (Rejected, Code.CRUISE_CONTROL_REJECTED): """
        111-err-dest-wrong-rack-12-to-31 112-err-dest-wrong-rack-12-to-33
        129-err-exec-dest-wrong-rack-12-to-31 115-err-missing-brokerid 116-err-bad-brokerid-abc
        117-err-dest-same-as-source 119-err-concurrency-0 123-err-throttle-neg
        125-err-goals-without-hard 139-external-stop_ongoing_execution-1
        183-review-1-submit-dryrun 186-review-4-submit-with-review_id
        188-review-8-submit-unapproved 190-review-10-submit-discarded
        191-review-11-reuse-submitted 199-review-16-resubmit-same-review_id
        200-review-17-submit-discarded 201-review-18-submit-pending 203-review-20-unknown-id
        307-err-goal-unknown 308-err-goal-unknown-beside-hard 309-err-exec-interval-1000
        327-err-brokerid-empty 328-err-max-in-cluster-0 329-err-use-ready-goals-and-goals""",
}
MEANING = {name: meaning for meaning, names in MEANINGS.items() for name in names.split()}


def _remove_broker_recordings() -> list[str]:
    return [
        path.stem
        for path in sorted(FOLDER.glob("*.json"))
        for request in [json.loads(path.read_text())["request"]]
        if request["method"] == "POST" and "/remove_broker?" in request["url"]
    ]


class TestMeanings:
    @pytest.mark.parametrize("name", _remove_broker_recordings())
    def test_each_recorded_answer_is_told_apart_by_what_to_do_next(self, name: str) -> None:
        """Accepted, wait, look first, or call a human: each of the recorded answers has its one
        meaning.
        """
        r = recording(int(name[:3]))
        answer = classify(r.status, r.headers, r.body)
        kind, code = MEANING[name]
        assert type(answer) is kind, answer
        if isinstance(answer, ExecutionRequested):
            assert len(answer.user_task_id) == 36
        else:
            assert answer.reason.code is code
            assert answer.reason.seen

    def test_the_table_names_recordings_that_exist(self) -> None:
        """A meaning without its recording would hold nothing."""
        assert MEANING.keys() == set(_remove_broker_recordings())

    async def test_the_client_returns_what_the_answer_means(self) -> None:
        """What the table says is what the caller of remove_broker gets."""
        for number, kind in (
            (29, ExecutionRequested),
            (64, Busy),
            (101, Unreachable),
            (111, Rejected),
        ):
            assert type(await client_of(replay(recording(number))).remove_broker(REQUEST)) is kind

    async def test_a_dry_run_tells_what_stands_against_the_request(self) -> None:
        """Nothing, or the reason; whatever was asked for, `ready` never executes."""
        script = Script(recording(150), recording(5))
        client = client_of(script)
        assert await refusal_of(client, REQUEST) is None
        refusal = await refusal_of(client, REQUEST)
        assert isinstance(refusal, Busy)
        assert refusal.reason.code is Code.CRUISE_CONTROL_NOT_READY
        assert [r.url.params["dryrun"] for r in script.asked] == ["true", "true"]
