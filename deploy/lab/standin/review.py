"""The purgatory, in which a POST waits for approval with two-step verification.

Once approved, it is submitted again by its id, with the parameters of the first request. The api
uses it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deploy.lab.standin.clock import iso
from deploy.lab.standin.errors import ServletError, UserRequestError
from deploy.lab.standin.parameters import Endpoint

_SEE_REVIEW = (
    "Please use REVIEW endpoint to check for the current requests awaiting review in purgatory."
)
_ALREADY_SUBMITTED = (
    "Attempt to start a new user task with an already submitted review. If you are trying to "
    "retrieve the result of a submitted execution, please use its UUID in your request header via "
    "User-Task-ID flag. If you are starting a new execution with the same parameters, please "
    "submit a new review request and get approval for it."
)


class ReviewStatus(StrEnum):
    PENDING_REVIEW = "PENDING_REVIEW"
    APPROVED = "APPROVED"
    SUBMITTED = "SUBMITTED"
    DISCARDED = "DISCARDED"


_TARGETS: Mapping[ReviewStatus, tuple[ReviewStatus, ...]] = {
    ReviewStatus.PENDING_REVIEW: (ReviewStatus.APPROVED, ReviewStatus.DISCARDED),
    ReviewStatus.APPROVED: (ReviewStatus.DISCARDED, ReviewStatus.SUBMITTED),
    ReviewStatus.SUBMITTED: (),
    ReviewStatus.DISCARDED: (),
}


@dataclass
class Held:
    id: int
    endpoint: str
    query: Sequence[tuple[str, str]]
    values: Mapping[str, Any]
    submitter: str
    submitted: float
    status: ReviewStatus = ReviewStatus.PENDING_REVIEW
    reason: str = "Awaiting review."

    def move_to(self, status: ReviewStatus, reason: str) -> None:
        if status not in _TARGETS[self.status]:
            targets = ", ".join(_TARGETS[self.status])
            raise ServletError(
                (
                    f"Cannot mark a task in {self.status} to {status} status. The valid target "
                    f"statuses are [{targets}]"
                ),
                "java.lang.IllegalStateException",
            )
        self.status, self.reason = status, reason

    def rendered(self) -> dict[str, Any]:
        parameters = "&".join(f"{name}={value}" for name, value in self.query)
        return {
            "Id": self.id,
            "Status": self.status.value,
            "EndpointWithParams": f"{self.endpoint.upper()}?{parameters}",
            "SubmitterAddress": self.submitter,
            "SubmissionTimeMs": int(self.submitted * 1000),
            "Reason": self.reason,
        }


@dataclass
class Purgatory:
    held: dict[int, Held] = field(default_factory=dict)

    def add(
        self,
        endpoint: Endpoint,
        query: Sequence[tuple[str, str]],
        values: Mapping[str, Any],
        client: str,
        now: float,
    ) -> Held:
        held = Held(len(self.held), endpoint.name, query, values, client, now)
        self.held[held.id] = held
        return held

    def submit(
        self, endpoint: Endpoint, query: Sequence[tuple[str, str]], review_id: int
    ) -> Mapping[str, Any]:
        """The parameters of the request that was approved under this id."""
        if len(query) > 1:
            given = ",".join(f"{name}=[{value}]" for name, value in query)
            raise _bad(
                endpoint,
                "review_id parameter must be mutually exclusive with other parameters "
                f"(Request parameters: {{{given}}}).",
            )
        held = self.find(endpoint, review_id)
        if held.status is ReviewStatus.SUBMITTED:
            raise _bad(endpoint, _ALREADY_SUBMITTED)
        held.move_to(ReviewStatus.SUBMITTED, "Submitted approved request.")
        return held.values

    def find(self, endpoint: Endpoint, review_id: int) -> Held:
        held = self.held.get(review_id)
        if held is None:
            raise _bad(
                endpoint,
                f"No request with review id {review_id} exists in purgatory. {_SEE_REVIEW}",
            )
        if held.endpoint != endpoint.name:
            raise _bad(
                endpoint,
                f"Request with review id {review_id} is associated with {held.endpoint.upper()} "
                f"endpoint, but the given request has {endpoint.name.upper()} "
                f"endpoint.{_SEE_REVIEW}",
            )
        return held

    def judge(self, values: Mapping[str, Any], client: str, now: float) -> list[dict[str, Any]]:
        """Approve and discard requests, and return those that it changed."""
        reason = (
            f"{values.get('reason') or 'No reason provided'} (Client: {client}, Date: {iso(now)})"
        )
        touched = []
        for key, status in (
            ("approve", ReviewStatus.APPROVED),
            ("discard", ReviewStatus.DISCARDED),
        ):
            for review_id in values.get(key, ()):
                if review_id not in self.held:
                    raise ServletError(
                        f"No request with review id {review_id} exists in purgatory."
                    )
                self.held[review_id].move_to(status, reason)
                touched.append(self.held[review_id])
        return [held.rendered() for held in touched]

    def board(self) -> list[dict[str, Any]]:
        return [held.rendered() for held in self.held.values()]


def _bad(endpoint: Endpoint, message: str) -> UserRequestError:
    return UserRequestError(f"Bad {endpoint.method} request '/{endpoint.name}' due to '{message}'.")
