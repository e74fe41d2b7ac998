"""The collector: queries Prometheus, or exporters, and publishes samples on the metrics topic."""
