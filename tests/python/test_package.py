"""Tests that pip installs the complete package without a network."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import evfd
from harness import SOURCE

PACKAGE = SOURCE / "client" / "python"
OFFLINE = ["--no-index", "--no-build-isolation", "--no-deps", "--quiet"]
# The first words of the docstrings of public methods. A test cannot recognize a verb, so each new
# verb is added here.
VERBS = frozenset(
    "Add Arm Change Close Consume Create Delete Disarm Discard Disconnect Lock Report Reset Return "
    "Set Unlock Wait".split()
)
USE = """
import evfd, os
assert not evfd.__file__.startswith(os.environ["SOURCE"]), evfd.__file__
event = evfd.Event()
event.set()
assert event.wait(0)
"""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Copy the package's sources to a directory, because a build writes to its source directory."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "source"))


def run(*words: str, **more: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    environment |= {"SOURCE": str(SOURCE), **more}
    completed = subprocess.run(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert completed.returncode == 0, completed.stdout.decode()


def test_pip_installs_the_package_to_a_directory(copied: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    run(sys.executable, "-m", "pip", "install", *OFFLINE, "--target", str(target), str(copied))
    run(sys.executable, "-W", "error", "-c", USE, PYTHONPATH=str(target))
    installed = {path.name for path in (target / "evfd").iterdir() if path.is_file()}
    sources = {path.name for path in (PACKAGE / "evfd").iterdir() if path.is_file()}
    assert installed == sources
    assert "py.typed" in installed


def test_pip_installs_the_package_into_a_virtual_environment(copied: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, system_site_packages=True, symlinks=True)
    python = str(environment / "bin" / "python")
    run(python, "-m", "pip", "install", *OFFLINE, str(copied))
    run(python, "-W", "error", "-c", USE)


def test_the_version_is_that_of_the_project() -> None:
    version = re.search(r"project\(evfdd VERSION (\S+)", (SOURCE / "CMakeLists.txt").read_text())
    assert version is not None and evfd.__version__ == version[1]


def test_docstrings_of_public_methods_begin_with_a_verb_in_the_imperative() -> None:
    kinds = [evfd.Client]
    for name in ("Event", "Lock", "Semaphore", "BoundedSemaphore", "Pulse", "Timer"):
        kinds += [getattr(evfd, name), getattr(evfd.asyncio, name)]
    for kind in kinds:
        for name, function in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_"):
                word = (inspect.getdoc(function) or "none").split()[0].rstrip(",")
                assert word in VERBS, (kind, name, word)


def test_the_package_has_no_dependencies(tmp_path: Path) -> None:
    run(
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.append({str(PACKAGE)!r}); import evfd",
    )


def test_only_the_documented_modules_are_public() -> None:
    modules = {path.stem for path in (PACKAGE / "evfd").glob("*.py")}
    assert {name for name in modules if not name.startswith("_")} == {
        "asyncio",
        "errors",
        "types",
    }
