"""The webhook: publishes the alerts of an existing monitor on the metrics topic."""
