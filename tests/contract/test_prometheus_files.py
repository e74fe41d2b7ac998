"""What is shipped for Prometheus and Grafana, against Prometheus' own checker and against the
names that are there.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.adapters.prometheus.server import parse_page
from agent.services.collector.mapping import WINDOW, Mapping

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ROOT / "deploy" / "prometheus"
RECORDINGS = ROOT / "tests" / "unit" / "services" / "recordings"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool (Debian's prometheus) is not installed"
)


def checked(*arguments: str) -> str:
    """Its words; fails with them."""
    done = subprocess.run(
        [str(PROMTOOL), "check", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expressions() -> dict[str, str]:
    """Every PromQL expression of the alerts and of the dashboard."""
    groups = yaml.safe_load((SHIPPED / "alerts.yml").read_text())["groups"]
    alerts = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    panels: list[dict[str, Any]] = json.loads(
        (ROOT / "deploy/grafana/kafka-migration.json").read_text()
    )["panels"]
    return alerts | {
        panel["title"]: target["expr"] for panel in panels for target in panel["targets"]
    }


@needs_promtool
def test_the_alerts_are_rules() -> None:
    """Prometheus takes the file."""
    assert "SUCCESS" in checked("rules", str(SHIPPED / "alerts.yml"))


@needs_promtool
def test_all_promql_can_be_parsed(tmp_path: Path) -> None:
    """The mapping's, with the window filled in, and the dashboard's, with a cluster: written as
    rules and checked.
    """
    asked = {m.name: m.promql.replace(WINDOW, "60s") for m in Mapping.read().metrics}
    shown = {title: promql.replace("$cluster", "lab") for title, promql in expressions().items()}
    rules = [
        {"record": f"x:{re.sub(r'[^a-z0-9]', '_', name.lower())}:{n}", "expr": promql}
        for n, (name, promql) in enumerate((asked | shown).items())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    assert f"{len(rules)} rules found" in checked("rules", str(file))


@needs_promtool
def test_the_scrape_example_is_configuration(tmp_path: Path) -> None:
    """Prometheus takes it; Debian's is built without Kubernetes, so that job is looked at
    without its discovery.
    """
    settings = yaml.safe_load((SHIPPED / "scrape.example.yml").read_text())
    for job in settings["scrape_configs"]:
        job.pop("kubernetes_sd_configs", None)
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(settings))
    checked("config", "--syntax-only", str(file))


def test_alerts_and_panels_ask_for_series_that_exist() -> None:
    """What they name is shown by our exporter rules (recorded), by this agent, or by Prometheus
    itself.
    """
    there = {
        s.labels["__name__"]
        for page in RECORDINGS.glob("*.txt")
        for s in parse_page(page.read_text(), 0.0)
    }
    source = "\n".join(
        path.read_text()
        for path in (ROOT / "agent").rglob("*.py")
        if "prometheus_client" in path.read_text()
    )
    ours = set(re.findall(r'(?:Counter|Gauge|Histogram)\(\s*"(\w+)"', source))
    there |= ours | {f"{name}_total" for name in ours} | {"up"}
    for what, promql in expressions().items():
        named = set(re.findall(r"\b(?:kafka|node|java)_\w+", re.sub(r'"[^"]*"', "", promql)))
        assert named <= there, f"{what}: {named - there}"


def test_every_alert_tells_the_webhook_what_it_needs() -> None:
    """A severity of ours, and a sentence; `cluster` is kept by what is aggregated."""
    for group in yaml.safe_load((SHIPPED / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}, rule["alert"]
            assert rule["annotations"]["summary"]
            if " by " in rule["expr"]:
                assert " by (cluster" in rule["expr"], rule["alert"]
