"""A few faults of the catalogue on the real lab; all of them: `make chaos`."""

from pathlib import Path

import pytest

from deploy.lab import free_base_port
from tests.chaos.faults import CATALOGUE, SHORT
from tests.chaos.run import FILL_BYTES_SHORT, run, what_is_wrong


@pytest.mark.lab
@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_when_processes_die(tmp_path: Path) -> None:
    """Agent, Cruise Control and a broker are killed while a wave moves: it goes on, and clients
    lose nothing.
    """
    faults = [f for f in CATALOGUE if f.name in SHORT]
    report = run(tmp_path, free_base_port(), faults, FILL_BYTES_SHORT)
    assert what_is_wrong(report) == []
