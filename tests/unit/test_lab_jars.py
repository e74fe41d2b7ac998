"""Fetching Kafka: what the lab says when it cannot, and that it keeps nothing half done."""

from pathlib import Path

import pytest

from deploy.lab.cluster import jars
from deploy.lab.cluster.ports import free_ports

VERSION = "3.9.1"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a mirror that does not answer, both named the way a user names them."""
    settings = tmp_path / "jgo.conf"
    settings.write_text(f"[repositories]\ncentral = http://127.0.0.1:{free_ports(1)[0]}/maven\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kafka-migration-lab"


def test_unreachable_repository_is_told_with_the_way_out(cache: Path) -> None:
    """Without network the lab says what it needs, which settings to check, and how to name a
    mirror.
    """
    steps: list[str] = []
    with pytest.raises(
        jars.JarsUnavailableError,
        match=r"cannot fetch Apache Kafka 3\.9\.1.*HTTPS_PROXY.*central",
    ):
        jars.install(VERSION, steps.append)
    assert steps == ["fetching Apache Kafka 3.9.1 (60 MB, once)"]


def test_half_a_download_is_never_taken_for_a_whole_one(cache: Path) -> None:
    """Jars left by an interrupted start are not used, even when some are complete."""
    partial = cache / "kafka-3.9.1-0123456789abcdef.partial"
    for place in (partial, jars._repository(VERSION)):
        place.mkdir(parents=True)
        (place / "kafka_2.13-3.9.1.jar").write_bytes(b"half")
    with pytest.raises(jars.JarsUnavailableError):
        jars.install(VERSION, lambda _step: None)
    assert not jars._repository(VERSION).exists()


def test_a_jar_that_vanished_is_fetched_again(cache: Path) -> None:
    """A cache with a missing jar is not trusted."""
    repository = jars._repository(VERSION)
    repository.mkdir(parents=True)
    (repository / jars.JARS_FILE).write_text('["present.jar", "missing.jar"]')
    (repository / "present.jar").touch()
    assert jars._cached_jars(VERSION) is None
    (repository / "missing.jar").touch()
    assert jars._cached_jars(VERSION) == (repository / "present.jar", repository / "missing.jar")


def test_another_version_has_its_own_logging() -> None:
    """Kafka 3 logs through Log4j 1's successor, Kafka 4 through Log4j 2; the wrong one keeps a
    broker from starting.
    """
    assert any("reload4j" in text for text in jars._coordinates("3.9.1")[0])
    assert any("log4j-core" in text for text in jars._coordinates("4.1.0")[0])
