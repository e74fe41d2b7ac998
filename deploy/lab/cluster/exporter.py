"""The JMX exporter, a Java agent that serves the metrics of a process in Prometheus' format.

jars.py and launch.py use it.
"""

from pathlib import Path

from deploy.lab.cluster.config import HOST

COORDINATE = "io.prometheus.jmx:jmx_prometheus_javaagent:1.0.1"
BROKER_RULES = Path(__file__).parent.parent.parent / "prometheus" / "jmx-exporter.yml"

# The gauges that the agent reads from a controller, named as in the exporter's examples for Kafka.
CONTROLLER_RULES = """\
startDelaySeconds: 0
lowercaseOutputName: true
includeObjectNames:
  - "kafka.controller:type=KafkaController,*"
  - "kafka.server:type=KafkaServer,name=MetadataType"
rules:
  - pattern: "kafka.(controller|server)<type=(.+), name=(.+)><>Value"
    name: kafka_$1_$2_$3
"""


def java_option(jar: Path, settings: Path, port: int) -> str:
    """The option of Java with which metrics are served at http://HOST:port/metrics."""
    return f"-javaagent:{jar}={HOST}:{port}:{settings}"
