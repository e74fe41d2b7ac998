"""Arbitrary core values for Hypothesis: every message, event and state that the types allow, as
JSON can carry them.
"""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from agent.core import events as ev
from agent.core import messages as msg
from agent.worker.turn import SCHEMA_VERSION, Record

# JSON has neither NaN nor integers beyond 64 bits; facts have neither as well.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(int, st.integers(-(2**62), 2**62))

MESSAGES: st.SearchStrategy[msg.Message] = st.from_type(msg.Message)  # type: ignore[arg-type]  # a union is a type
RECORDS: st.SearchStrategy[Record] = st.from_type(Record).map(
    lambda record: replace(record, schema_version=SCHEMA_VERSION)
)


def events(kind: type[ev.Event]) -> st.SearchStrategy[Any]:
    """Events of one class, at a time that a calendar can show."""
    return st.builds(kind, at=st.floats(0, 4e9))
