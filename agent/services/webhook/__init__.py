"""The webhook: receives alerts of an existing monitoring system and publishes them."""
