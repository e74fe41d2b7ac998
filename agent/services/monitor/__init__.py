"""The monitoring service: answers by HTTP whether the cluster could lose a broker now, for a
disruption budget.

It depends on the cluster alone; neither the agent nor Cruise Control needs to run.
"""
