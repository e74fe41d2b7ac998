"""The JMX exporter: a Java agent that shows a process's metrics as a page for Prometheus.

Called by jars.py and launch.py.
"""

from pathlib import Path

from deploy.lab.cluster.config import HOST

COORDINATE = "io.prometheus.jmx:jmx_prometheus_javaagent:1.0.1"
BROKER_RULES = Path(__file__).parent.parent.parent / "prometheus" / "jmx-exporter.yml"

# What a look at a controller needs. One name for each gauge, as the exporter's own examples for
# Kafka have it.
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
    """What Java is started with, so that the page is at http://HOST:port/metrics."""
    return f"-javaagent:{jar}={HOST}:{port}:{settings}"
