#!/usr/bin/env python3
"""usage: readme_test.py README SOURCES BUILD CMAKE

Does what the README shows, from its first block to its last, as a reader would in a checkout:

- A block in sh goes to one bash, line by line. Each line must end with status 0, within a deadline.
  A comment that says: prints "TEXT" names what the line must print. A line with & at its end runs in
  the background and must have ended well by the end of its block; a line of which the comment says
  "in one terminal" by the end of the next block. A line of which the comment says that a key "ends it"
  or "leaves" runs on a terminal, where that key is pressed.
- A block in C, C++ or Python begins with a comment that names its file. It is saved there. A Python
  program is run at once; a line in sh must build each of the others.
- A block in JSON is a configuration that `evfdd --check-config` must accept.
- Other blocks, and lines in sh that cannot run here, are in NOT_RUN, with the reason.

Beside that, each `evfdctl ...` and each `--option` within the text must be known to --help, and each
link to a file must lead to one.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

PATIENCE_S = 120.0

NOT_RUN = {
    "config/bootstrap && cmake --workflow --preset demo": "it builds everything",
    "config/bootstrap test && cmake --workflow --preset test": "it builds everything, this test too",
    "python3 -m venv venv && venv/bin/pip install ./client/python": "pip looks for setuptools in the network",
}

# What the README takes for the reader's own programs.
STUBS = ("start-app", "make")


class Failed(Exception):
    """The README does not tell the truth, or this test does not understand it."""


@dataclass
class Block:
    language: str  # Empty for one that is only indented.
    text: str
    line: int  # Its first one.


def fail(where: Block | int, what: str) -> NoReturn:
    line = where if isinstance(where, int) else where.line
    raise Failed(f"README.md:{line}: {what}")


def blocks_of(lines: list[str]) -> list[Block]:
    """Fenced ones, and indented ones after an empty line."""
    blocks: list[Block] = []
    i = 0
    while i < len(lines):
        begin = i
        if lines[i].startswith("```"):
            end = next((j for j in range(i + 1, len(lines)) if lines[j] == "```"), None)
            if end is None:
                fail(i + 1, "this block has no end")
            text = "\n".join(lines[i + 1 : end])
            blocks.append(Block(lines[i][3:].strip(), text, begin + 2))
            i = end + 1
        elif lines[i].startswith("    ") and i > 0 and not lines[i - 1]:
            while i < len(lines) and lines[i].startswith("    "):
                i += 1
            text = "\n".join(line[4:] for line in lines[begin:i])
            blocks.append(Block("", text, begin + 1))
        else:
            i += 1
    return blocks


def prose_of(lines: list[str]) -> str:
    """The text without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", "\n".join(lines), flags=re.MULTILINE | re.DOTALL)


def readable_by(fd: int, deadline: float) -> bool:
    return bool(select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0])


class Shell:
    """A bash that is told one line after the other, and says by a pipe how each ended."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._directory = directory
        self._output = directory / "output"
        self._from, to = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            cwd=directory,
            env=environment,
            pass_fds=[to],
            start_new_session=True,
            text=True,
            bufsize=1,
        )
        self._to = to
        os.close(to)

    def run(self, line: str, called: str = "") -> tuple[int, str]:
        """Its exit status and what it printed.  `called`: what an error calls it, if not `line`."""
        assert self._bash.stdin
        out = shlex.quote(str(self._output))
        self._bash.stdin.write(f"{{ {line}\n}} >{out} 2>&1 </dev/null\necho $? >&{self._to}\n")
        deadline = time.monotonic() + PATIENCE_S
        answer = b""
        while not answer.endswith(b"\n"):
            if not readable_by(self._from, deadline):
                raise Failed(f"this does not end: {called or line}\n{self._output.read_text()}")
            part = os.read(self._from, 64)
            if not part:
                raise Failed(f"bash does not understand this line: {line}")
            answer += part
        return int(answer), self._output.read_text()

    def begin(self, line: str, name: str) -> str:
        """In the background; the word by which its end is waited for."""
        out = shlex.quote(str(self._directory / name))
        status, said = self.run(f"{{ {line}\n}} >{out} 2>&1 &\necho $!")
        if status != 0:
            raise Failed(f"cannot be begun: {line}\n{said}")
        return said.strip()

    def environment(self) -> dict[str, str]:
        variables = self.run("env -0")[1].split("\0")
        return dict(variable.split("=", 1) for variable in variables if variable)

    def end(self) -> None:
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait()
        os.close(self._from)


class Reader:
    """Who does what the README says."""

    def __init__(self, directory: Path, shell: Shell) -> None:
        self._directory = directory
        self._shell = shell
        self._saved: dict[str, Block] = {}  # C and C++, until a line builds it.
        self._begun: list[tuple[str, str]] = []  # The line, and what waits for its end.
        self._count = 0
        self.not_run: set[str] = set()

    def do(self, block: Block) -> None:
        if block.language == "sh":
            self._do_lines(block)
        elif block.language in ("c", "cpp", "python"):
            self._save(block)
        elif block.language == "json":
            self._check_configuration(block)
        elif block.text in NOT_RUN:
            self.not_run.add(block.text)
        else:
            fail(block, f"nobody runs this block; see {Path(__file__).name}: {block.text}")

    def end(self) -> None:
        for name, block in self._saved.items():
            fail(block, f"no line builds {name}")
        if self._begun:
            raise Failed(f"nothing waits for this line: {self._begun[0][0]}")
        if missing := NOT_RUN.keys() - self.not_run:
            raise Failed(f"this is in NOT_RUN, and no longer in the README: {missing}")

    def _do_lines(self, block: Block) -> None:
        begun_before = self._begun
        self._begun = []
        stays: list[tuple[str, str]] = []
        for offset, line in enumerate(block.text.splitlines()):
            where = block.line + offset
            command, _, comment = (part.strip() for part in line.partition("  # "))
            for name in [name for name in self._saved if name in command.split()]:
                del self._saved[name]
            if line in NOT_RUN:
                self.not_run.add(line)
            elif key := re.search(r"(\S+) (?:ends it|leaves)\b", comment):
                self._press(command, key[1], where)
            elif "in one terminal" in comment:
                stays.append((command, self._begin(command)))
            elif command.endswith(" &"):
                self._begun.append((command, self._begin(command.removesuffix("&"))))
            else:
                self._run(line, comment, where)
        for command, word in begun_before + self._begun:
            status, said = self._shell.run(f"wait {word}", command)
            if status != 0:
                fail(block, f"{command}: status {status}\n{said}")
        self._begun = stays

    def _begin(self, command: str) -> str:
        self._count += 1
        return self._shell.begin(command, f"background{self._count}")

    def _run(self, line: str, comment: str, where: int) -> None:
        status, said = self._shell.run(line)
        if status != 0:
            fail(where, f"{line}\nends with status {status}:\n{said}")
        if line.startswith("export PATH="):
            found = self._shell.run("command -v evfdctl")[1]
            if not found.startswith(str(self._directory)):
                fail(where, f"{line}\ndoes not find evfdctl in the checkout, but {found}")
        prints = re.search(r'prints "([^"]+)"', comment)
        if prints and prints[1] not in said:
            fail(where, f"{line}\nprints:\n{said}")

    def _press(self, command: str, key: str, where: int) -> None:
        """On a terminal, once the command has shown the names that there are."""
        code = {"Ctrl-C": b"\x03", "Esc": b"\x1b"}.get(key)
        if code is None:
            fail(where, f"which key is {key}?")
        environment = {**self._shell.environment(), "TERM": "xterm"}
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe("bash", ["bash", "-c", f"exec {command}"], environment)
        deadline = time.monotonic() + PATIENCE_S
        said = b""
        has_pressed = False
        while True:
            if not readable_by(terminal, deadline):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                fail(where, f"{key} does not end {command}, which printed {said!r}")
            try:
                part = os.read(terminal, 4096)
            except OSError:  # Nobody has it open any more.
                break
            said += part
            if not has_pressed and b"jobs" in said:
                os.write(terminal, code)
                has_pressed = True
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if not has_pressed or status not in (0, -signal.SIGINT):
            fail(where, f"{command} ends with status {status}: {said!r}")

    def _save(self, block: Block) -> None:
        name = re.match(r"(?://|#|/\*) (\w+\.\w+)(?: \*/)?$", block.text.splitlines()[0])
        if not name:
            fail(block, "this program does not begin with a comment that names its file")
        (self._directory / name[1]).write_text(block.text + "\n")
        if block.language == "python":
            self._run(f"python3 {name[1]}", "", block.line)
        else:
            self._saved[name[1]] = block

    def _check_configuration(self, block: Block) -> None:
        (self._directory / "configuration.json").write_text(block.text)
        self._run("evfdd --check-config configuration.json", "", block.line)


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def check_words(prose: str, programs: Path) -> None:
    """What the text says of evfdctl and evfdd beside its blocks."""

    def help_of(*words: str) -> str:
        program, *rest = words
        asked = [str(programs / program), *rest, "--help"]
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout

    general = help_of("evfdctl")
    verbs = re.findall(r"^  ([a-z][a-z-]*) ", general.partition("Subcommands:")[2], re.MULTILINE)
    if not verbs:
        raise Failed("evfdctl --help has no verbs")
    known = {verb: options_in(general + help_of("evfdctl", verb)) for verb in verbs}
    of_daemon = options_in(help_of("evfdd"))
    anywhere = set().union(*known.values(), of_daemon)
    for span in re.findall(r"`([^`]+)`", prose):
        ours = span.replace("\n", " ").partition(" -- ")[0]
        words = ours.split()
        if words[0] == "evfdctl" and len(words) > 1:
            verb = next((word for word in words[1:] if word in known or word == "VERB"), None)
            if verb is None and any(not word.startswith("-") for word in words[1:]):
                raise Failed(f"`{span}` has no verb of evfdctl's")
            allowed = known.get(verb or "", anywhere)
        elif words[0] == "evfdd":
            allowed = of_daemon
        elif words[0].startswith("--"):
            allowed = anywhere
        else:
            continue
        if unknown := options_in(ours) - allowed:
            raise Failed(f"`{span}`: there is no option {unknown}")


def check_links(prose: str, sources: Path) -> None:
    anchors = set(re.findall(r'<a name="([^"]+)">', prose))
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        if target.startswith("https://"):
            continue
        is_there = target[1:] in anchors if target[0] == "#" else (sources / target).exists()
        if not is_there:
            raise Failed(f"this link leads nowhere: {target}")


def start_daemon(programs: Path, directory: Path, path: Path) -> subprocess.Popen[bytes]:
    """With a guard; returns once clients can connect."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(directory / "notify"))
        told.settimeout(PATIENCE_S)
        daemon = subprocess.Popen(
            [str(programs / "evfdd"), "--guard", "--socket", str(path), "--log-level", "error"],
            env={**os.environ, "NOTIFY_SOCKET": str(directory / "notify")},
        )
        while b"READY=1" not in told.recv(4096):
            pass
    return daemon


def install_libraries(cmake: str, build: Path, prefix: Path) -> dict[str, str]:
    """What the packages bring, and the environment in which it is found there.

    By the script of one folder: that of the whole writes a list into the build directory.
    """
    script = build / "client" / "cmake_install.cmake"
    subprocess.run(
        [cmake, f"-DCMAKE_INSTALL_PREFIX={prefix}", "-P", str(script)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    pkgconfig = next(prefix.rglob("evfd.pc")).parent
    return {"PKG_CONFIG_PATH": str(pkgconfig), "LD_LIBRARY_PATH": str(pkgconfig.parent)}


def make_checkout(directory: Path, sources: Path, build: Path, own: Path) -> None:
    """The reader's: what the README names of it, and programs of the reader's own."""
    for folder in ("client", "config"):
        (directory / folder).symlink_to(sources / folder)
    (directory / "build").mkdir()
    (directory / "build" / "release").symlink_to(build)
    own.mkdir()
    for name in STUBS:
        for place in (directory, own):
            (place / name).write_text("#!/bin/sh\n")
            (place / name).chmod(0o755)


def check(readme: Path, sources: Path, build: Path, cmake: str, place: Path) -> int:
    """How many blocks there are."""
    lines = readme.read_text().splitlines()
    prose = prose_of(lines)
    check_links(prose, sources)
    check_words(prose, build / "bin")

    directory = place / "checkout"
    directory.mkdir()
    make_checkout(directory, sources, build, place / "own")
    path = place / "io.evfdd"
    environment = {
        **os.environ,
        **install_libraries(cmake, build, place / "prefix"),
        "EVFDD_SOCKET": str(path),
        "PATH": f"{place / 'own'}:{os.environ['PATH']}",
        "PYTHONPATH": str(sources / "client" / "python"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    daemon = start_daemon(build / "bin", place, path)
    shell = Shell(directory, environment)
    try:
        # The first example comes before the line that puts the programs into PATH.
        shell.run(f"PATH={shlex.quote(str(build / 'bin'))}:$PATH")
        reader = Reader(directory, shell)
        blocks = blocks_of(lines)
        for block in blocks:
            reader.do(block)
        reader.end()
    finally:
        shell.end()
        daemon.terminate()
        daemon.wait(PATIENCE_S)
    return len(blocks)


def main() -> int:
    readme, sources, build = (Path(word).resolve() for word in sys.argv[1:4])
    with tempfile.TemporaryDirectory() as place:
        try:
            count = check(readme, sources, build, sys.argv[4], Path(place))
        except Failed as failed:
            print(failed, file=sys.stderr)
            return 1
    for text, reason in NOT_RUN.items():
        print(f"not run: {text}: {reason}")
    print(f"{count - len(NOT_RUN)} blocks are as they should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
