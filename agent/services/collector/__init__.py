"""The collector: asks Prometheus, or exporters themselves, and tells the agent on the metrics
topic.
"""
