"""A stand-in for LinkedIn Cruise Control 2.5, for the lab only.

It serves the part of Cruise Control's REST API that this project calls. It answers like the
recordings of a real 2.5.143, and it moves real replicas of a real cluster through Kafka's own
reassignment API.
"""

SPOKEN_VERSION = "2.5.143"
SERVER_NAME = "kafka-migration lab stand-in for Cruise Control (not Cruise Control)"
