"""The JMX exporter: a Java agent that shows a process's metrics as a page for Prometheus.

Called by jars.py and launch.py.
"""

from pathlib import Path

from deploy.lab.config import HOST

COORDINATE = "io.prometheus.jmx:jmx_prometheus_javaagent:1.0.1"
BROKER_RULES = Path(__file__).parent.parent / "prometheus" / "jmx-exporter.yml"


def java_option(jar: Path, settings: Path, port: int) -> str:
    """What Java is started with, so that the page is at http://HOST:port/metrics."""
    return f"-javaagent:{jar}={HOST}:{port}:{settings}"
