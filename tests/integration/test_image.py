"""deploy/Dockerfile without a container engine: its own pip lines are tried, with the packages
that it would get.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
BUILD_STAGE = DOCKERFILE.partition("AS build\n")[2].partition("\nFROM ")[0].replace("\\\n", " ")


def pip_lines() -> list[list[str]]:
    """What stands after `pip` in each `pip install` of the Dockerfile, in its order."""
    commands = [
        part for line in BUILD_STAGE.splitlines() for part in line.removeprefix("RUN ").split("&&")
    ]
    words = [
        shlex.split(command, comments=True) for command in commands if "pip install" in command
    ]
    return [line[1:] for line in words]


def python_version() -> str:
    """The Python of the base image."""
    found = re.search(r"^ARG BASE=python:([\d.]+)-", DOCKERFILE, re.MULTILINE)
    assert found is not None
    return found[1]


def try_pip(line: list[str], folder: Path, *more: str) -> list[dict[str, Any]]:
    """What that line would install, by pip's own report; fails with pip's words when it would
    not.
    """
    report = folder / "report.json"
    options = [
        "--dry-run",
        "--ignore-installed",
        "--quiet",
        "--disable-pip-version-check",
        "--report",
        str(report),
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "pip", *line, *options, *more],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"pip {shlex.join(line)}\n{ended.stderr[-2000:]}"
    installed: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
    return installed


def copy_context(folder: Path) -> None:
    """What the build stage copies, and nothing else, under the names that it has there."""
    for line in BUILD_STAGE.splitlines():
        if not line.startswith("COPY "):
            continue
        *sources, target = line.split()[1:]
        for source in sources:
            name = folder / target / source if target.endswith("/") else folder / target
            name.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(
                    ROOT / source,
                    name,
                    ignore=shutil.ignore_patterns("__pycache__"),
                    dirs_exist_ok=True,
                )
            else:
                shutil.copy(ROOT / source, name)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_images_packages_install_as_the_dockerfile_asks(tmp_path: Path) -> None:
    """Each package has a wheel for the image's Python with a pinned hash, and none that is
    needed is missing.
    """
    copy_context(tmp_path)
    packages, project = pip_lines()
    elsewhere = ("--python-version", python_version(), "--target", str(tmp_path / "installed"))
    found = {
        canonicalize_name(one["metadata"]["name"]): one["metadata"]["version"]
        for one in try_pip(packages, tmp_path, *elsewhere)
    }
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in (*settings["dependencies"], *settings["optional-dependencies"]["image"]):
        needed = Requirement(text)
        version = found.get(canonicalize_name(needed.name))
        assert version is not None, f"deploy/requirements.txt has no {needed.name}"
        assert needed.specifier.contains(version), (
            f"{needed}, and deploy/requirements.txt has {version}"
        )
    assert [one["metadata"]["name"] for one in try_pip(project, tmp_path)] == ["kafka-migration"]
