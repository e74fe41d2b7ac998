"""Settings of all tests.

Hypothesis judges only results and never how long they took, because the machine is shared.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")
