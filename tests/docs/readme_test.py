#!/usr/bin/env python3
"""usage: readme_test.py SOURCES BUILD CMAKE DOCUMENT...

Runs the code blocks of each DOCUMENT in their order, as a reader would in a checkout. Each document
gets its own daemon and its own checkout.

- One bash runs the lines of all sh blocks. Each line must end with status 0, within a deadline.
  If the comment of a line has: prints "TEXT", the output of the line must contain TEXT.
  If a line ends with &, it runs in the background and must end with status 0 before its block ends.
  If the comment has "in one terminal", the line runs in the background until the end of the next
  block.
  If the comment says that a key "ends it" or "leaves", the line runs on a terminal, and the test
  presses the key.
- A block in C, C++ or Python begins with a comment that names a file. The block is saved in that
  file. The test runs a Python program at once. For a C or C++ program, a line in sh must follow
  that builds it.
- A block in JSON is a configuration that `evfdd --check-config` must accept.
- A block in text is a picture or an output, and is not run.
- All other blocks, and lines in sh that cannot run here, must be in NOT_RUN, with the reason.

Checks also the text outside of the blocks, in all documents below SOURCES. Each verb and each
option of an `evfdctl ...` or `evfdd ...` must be in the help. Each link must lead to an existing
file. If a link names a heading, the file must have the heading.
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

TIMEOUT_S = 120.0

NOT_RUN = {
    "config/bootstrap && cmake --workflow --preset demo": "it builds everything",
    "config/bootstrap test && cmake --workflow --preset test": "it builds everything, this test too",
    "python3 -m venv venv && venv/bin/pip install ./client/python": "pip downloads setuptools",
}

# The documents call these programs, which a reader is assumed to have. The test provides empty
# scripts with these names.
STUBS = ("start-app", "make")


class Failed(Exception):
    """Raised if a document is wrong, or if this test does not understand the document."""


@dataclass
class Block:
    language: str  # The language is empty for a block that is indented and not fenced.
    text: str
    document: str
    line: int  # The number of the block's first line in the document.


def fail(block: Block, what: str, offset: int = 0) -> NoReturn:
    raise Failed(f"{block.document}:{block.line + offset}: {what}")


def blocks_of(document: str, lines: list[str]) -> list[Block]:
    """Returns the fenced blocks, and the blocks that are indented after an empty line."""
    blocks: list[Block] = []
    i = 0
    while i < len(lines):
        begin = i
        if lines[i].startswith("```"):
            end = next((j for j in range(i + 1, len(lines)) if lines[j] == "```"), None)
            if end is None:
                raise Failed(f"{document}:{i + 1}: this block has no end")
            text = "\n".join(lines[i + 1 : end])
            blocks.append(Block(lines[i][3:].strip(), text, document, begin + 2))
            i = end + 1
        elif lines[i].startswith("    ") and i > 0 and not lines[i - 1]:
            while i < len(lines) and lines[i].startswith("    "):
                i += 1
            text = "\n".join(line[4:] for line in lines[begin:i])
            blocks.append(Block("", text, document, begin + 1))
        else:
            i += 1
    return blocks


def prose_of(lines: list[str]) -> str:
    """Returns the text without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", "\n".join(lines), flags=re.MULTILINE | re.DOTALL)


def readable_by(fd: int, deadline: float) -> bool:
    return bool(select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0])


class Shell:
    """A bash that runs one line after the other and writes each exit status to a pipe."""

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
        """Returns the exit status and the output of the line.

        If `called` is given, an error message quotes `called` instead of the line.
        """
        assert self._bash.stdin
        out = shlex.quote(str(self._output))
        self._bash.stdin.write(f"{{ {line}\n}} >{out} 2>&1 </dev/null\necho $? >&{self._to}\n")
        deadline = time.monotonic() + TIMEOUT_S
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
        """Runs a line in the background.  Returns the process id, for the command `wait`."""
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
    """Runs the blocks of a document as a reader would."""

    def __init__(self, directory: Path, shell: Shell) -> None:
        self._directory = directory
        self._shell = shell
        # Maps the name of a C or C++ source file to the block of the document that is saved as this
        # file. Contains only the files that no command of the document has used yet.
        self._saved: dict[str, Block] = {}
        # The shell commands that run in the background, each with its process id.
        self._begun: list[tuple[str, str]] = []
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
        elif block.language != "text":
            fail(block, f"nobody runs this block; see {Path(__file__).name}: {block.text}")

    def end(self) -> None:
        for name, block in self._saved.items():
            fail(block, f"no line builds {name}")
        if self._begun:
            raise Failed(f"nothing waits for this line: {self._begun[0][0]}")

    def _do_lines(self, block: Block) -> None:
        begun_before = self._begun
        self._begun = []
        stays: list[tuple[str, str]] = []
        for offset, line in enumerate(block.text.splitlines()):
            command, _, comment = (part.strip() for part in line.partition("  # "))
            for name in [name for name in self._saved if name in command.split()]:
                del self._saved[name]
            if line in NOT_RUN:
                self.not_run.add(line)
            elif key := re.search(r"(\S+) (?:ends it|leaves)\b", comment):
                self._press(command, key[1], block, offset)
            elif "in one terminal" in comment:
                stays.append((command, self._begin(command)))
            elif command.endswith(" &"):
                self._begun.append((command, self._begin(command.removesuffix("&"))))
            else:
                self._run(line, comment, block, offset)
        for command, word in begun_before + self._begun:
            status, said = self._shell.run(f"wait {word}", command)
            if status != 0:
                fail(block, f"{command}: status {status}\n{said}")
        self._begun = stays

    def _begin(self, command: str) -> str:
        self._count += 1
        return self._shell.begin(command, f"background{self._count}")

    def _run(self, line: str, comment: str, block: Block, offset: int = 0) -> None:
        status, said = self._shell.run(line)
        if status != 0:
            fail(block, f"{line}\nends with status {status}:\n{said}", offset)
        if line.startswith("export PATH="):
            found = self._shell.run("command -v evfdctl")[1]
            if not found.startswith(str(self._directory)):
                fail(block, f"{line}\ndoes not find evfdctl in the checkout, but {found}", offset)
        prints = re.search(r'prints "([^"]+)"', comment)
        if prints and prints[1] not in said:
            fail(block, f"{line}\nprints:\n{said}", offset)

    def _press(self, command: str, key: str, block: Block, offset: int) -> None:
        """Runs a command on a terminal, and presses the key when the command has printed "jobs".

        The documents use `jobs` as the name of an event.
        """
        code = {"Ctrl-C": b"\x03", "q": b"q"}.get(key)
        if code is None:
            fail(block, f"which key is {key}?", offset)
        environment = {**self._shell.environment(), "TERM": "xterm"}
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe("bash", ["bash", "-c", f"exec {command}"], environment)
        deadline = time.monotonic() + TIMEOUT_S
        said = b""
        has_pressed = False
        while True:
            if not readable_by(terminal, deadline):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                fail(block, f"{key} does not end {command}, which printed {said!r}", offset)
            try:
                part = os.read(terminal, 4096)
            except OSError:  # The read fails when no process has the terminal open any more.
                break
            said += part
            if not has_pressed and b"jobs" in said:
                os.write(terminal, code)
                has_pressed = True
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if not has_pressed or status not in (0, -signal.SIGINT):
            fail(block, f"{command} ends with status {status}: {said!r}", offset)

    def _save(self, block: Block) -> None:
        name = re.match(r"(?://|#|/\*) (\w+\.\w+)(?: \*/)?$", block.text.splitlines()[0])
        if not name:
            fail(block, "this program does not begin with a comment that names its file")
        (self._directory / name[1]).write_text(block.text + "\n")
        if block.language == "python":
            self._run(f"python3 {name[1]}", "", block)
        else:
            self._saved[name[1]] = block

    def _check_configuration(self, block: Block) -> None:
        (self._directory / "configuration.json").write_text(block.text)
        self._run("evfdd --check-config configuration.json", "", block)


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


class Options:
    """The verbs of evfdctl, and the options of each verb and of evfdd, according to --help."""

    def __init__(self, programs: Path) -> None:
        def help_of(*words: str) -> str:
            program, *rest = words
            command = [str(programs / program), *rest, "--help"]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

        general = help_of("evfdctl")
        verbs = re.findall(r"^  ([a-z][a-z-]*) ", general, re.MULTILINE)
        if not verbs:
            raise Failed("evfdctl --help has no verbs")
        verbs += ["relay", "__complete"]  # The help does not list these verbs.
        self.of_verb = {verb: options_in(general + help_of("evfdctl", verb)) for verb in verbs}
        # The option --without-kernel-feature exists, although the help does not list it.
        self.of_daemon = options_in(help_of("evfdd")) | {"--without-kernel-feature"}
        self.all = set().union(*self.of_verb.values(), self.of_daemon)


def check_words(document: str, prose: str, options: Options) -> None:
    """Checks that the commands and options in the text outside of the blocks exist."""
    for span in re.findall(r"`([^`]+)`", prose):
        command = span.replace("\n", " ").partition(" -- ")[0]
        words = command.split()
        if words[:1] == ["evfdctl"] and len(words) > 1:
            verb = next((word for word in words[1:] if word in options.of_verb or word == "VERB"), None)
            if verb is None and any(not word.startswith("-") for word in words[1:]):
                raise Failed(f"{document}: `{span}` has no verb of evfdctl's")
            allowed = options.of_verb.get(verb or "", options.all)
        elif words[:1] == ["evfdd"]:
            allowed = options.of_daemon
        else:
            continue
        if unknown := options_in(command) - allowed:
            raise Failed(f"{document}: `{span}`: there is no option {unknown}")


def anchors_of(document: Path) -> set[str]:
    """Returns the link targets that GitHub generates from the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def check_links(document: Path, prose: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            raise Failed(f"{document}: this link leads nowhere: {target}")


def start_daemon(programs: Path, directory: Path, path: Path) -> subprocess.Popen[bytes]:
    """Starts a daemon with a supervisor.  Returns when clients can connect."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(directory / "notify"))
        notified.settimeout(TIMEOUT_S)
        daemon = subprocess.Popen(
            [str(programs / "evfdd"), "--supervise", "--socket", str(path), "--log-level", "error"],
            env={**os.environ, "NOTIFY_SOCKET": str(directory / "notify")},
        )
        while b"READY=1" not in notified.recv(4096):
            pass
    return daemon


def install_libraries(cmake: str, build: Path, prefix: Path) -> dict[str, str]:
    """Installs the libraries below `prefix`.  Returns environment variables to find the libraries.

    Runs only the install script of client/, because the install script of the whole tree would
    write the file install_manifest.txt into the build directory.
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
    """Makes a directory that looks like a checkout to the documents.

    The directory has the folders and the programs that the documents name.
    """
    for folder in ("client", "config"):
        (directory / folder).symlink_to(sources / folder)
    (directory / "build").mkdir()
    (directory / "build" / "release").symlink_to(build)
    own.mkdir()
    for name in STUBS:
        for place in (directory, own):
            (place / name).write_text("#!/bin/sh\n")
            (place / name).chmod(0o755)


def check_blocks(document: Path, sources: Path, build: Path, cmake: str, place: Path) -> tuple[int, set[str]]:
    """Runs the blocks of a document.

    Returns the number of all blocks, and the texts of the blocks and lines that were not run.
    """
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
        # Sets PATH already here, because the README has examples before the line in which the
        # reader sets PATH.
        shell.run(f"PATH={shlex.quote(str(build / 'bin'))}:$PATH")
        reader = Reader(directory, shell)
        blocks = blocks_of(str(document.relative_to(sources)), document.read_text().splitlines())
        for block in blocks:
            reader.do(block)
        reader.end()
    finally:
        shell.end()
        daemon.terminate()
        daemon.wait(TIMEOUT_S)
    return len(blocks), reader.not_run


def documents_of(sources: Path) -> list[Path]:
    folders = ("client", "common", "config", "daemon", "systemd", "tests")
    below = [path for folder in folders for path in (sources / folder).rglob("*.md")]
    return [*sources.glob("*.md"), *(path for path in below if "build" not in path.parts)]


def check_all(sources: Path, build: Path, cmake: str, documents: list[Path]) -> int:
    """Checks the text of all documents below `sources`, and runs the blocks of `documents`.

    Returns the number of blocks that were run.
    """
    options = Options(build / "bin")
    for document in documents_of(sources):
        prose = prose_of(document.read_text().splitlines())
        check_links(document, prose)
        check_words(str(document.relative_to(sources)), prose, options)
    count = 0
    not_run: set[str] = set()
    for document in documents:
        with tempfile.TemporaryDirectory() as place:
            blocks, skipped = check_blocks(document, sources, build, cmake, Path(place))
        count += blocks
        not_run |= skipped
    if missing := NOT_RUN.keys() - not_run:
        raise Failed(f"this is in NOT_RUN, and in no document: {missing}")
    return count - len(not_run)


def main() -> int:
    sources, build = (Path(word).resolve() for word in sys.argv[1:3])
    try:
        count = check_all(sources, build, sys.argv[3], [sources / name for name in sys.argv[4:]])
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    for text, reason in NOT_RUN.items():
        print(f"not run: {text}: {reason}")
    print(f"{count} blocks are right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
