"""The Kafka monitoring service: says by HTTP whether the cluster could lose a broker now, for a
disruption budget.

Depends on the cluster alone; neither the agent nor Cruise Control need run.
"""
