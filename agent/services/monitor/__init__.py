"""The monitoring service: answers by HTTP whether the cluster could lose a broker now.

A PodDisruptionBudget on Kubernetes uses the answer. The service needs only the cluster; neither the
agent nor Cruise Control has to run.
"""
