"""A stand-in for LinkedIn Cruise Control 2.5, for the lab only.

It answers the part of Cruise Control's REST API that this project calls, as recordings of a real
2.5.143 answer it, and moves real replicas of a real cluster through Kafka's own reassignment API.
For a lab only.
"""

SPOKEN_VERSION = "2.5.143"
SERVER_NAME = "kafka-migration lab stand-in for Cruise Control (not Cruise Control)"
