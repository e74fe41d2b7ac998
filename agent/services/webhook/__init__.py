"""The webhook: an existing monitor's alert becomes an Alert on the metrics topic."""
