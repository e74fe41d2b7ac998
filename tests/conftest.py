"""For all tests:

Hypothesis judges what comes out, never how long it took; the machine is shared.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")
