"""How the daemon is talked to, against one that is ours: what goes over the wire, and what a daemon
must not do."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any, Iterator, List, Literal, Optional, Sequence

import pytest

import evfd
from evfd import errors
from running import PATIENCE_S, Worker, descriptors

STATUS = {
    "version": "9", "pid": 1, "startedNSec": 1, "objects": 0, "connections": 1, "waits": 0,
    "monitors": 0, "subscriptions": 0, "descriptors": 9, "descriptorLimit": 99, "guardian": "none",
    "waitsForSessions": 0, "parked": 0, "journalBytes": 0, "canKeep": True, "newer": [{"x": 1}],
}  # fmt: skip


OBJECT = {
    "kind": "event", "mode": "manual", "ownerUid": 0, "groupGid": 0, "creatorPid": 1,
    "createdNSec": 1, "rights": "0666", "lifetime": "permanent", "waits": 0,
}  # fmt: skip
GATHERS: Sequence[Literal["any", "all"]] = ("any", "all")


class Wire:
    """The daemon's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(PATIENCE_S)
        self._unread = b""

    def call(self) -> Any:
        """The next one."""
        while b"\0" not in self._unread:
            data = self.connection.recv(65536)
            assert data, "it hung up"
            self._unread += data
        frame, self._unread = self._unread.split(b"\0", 1)
        return json.loads(frame)

    def begin(self) -> Any:
        """What it began its session with."""
        call = self.call()
        assert call["method"] == "io.evfdd.Resume"
        return call

    def reply(self, parameters: Any, *numbers: int, **more: Any) -> None:
        frame = json.dumps({"parameters": parameters, **more}).encode() + b"\0"
        if numbers:
            socket.send_fds(self.connection, [frame], list(numbers))
        else:
            self.connection.sendall(frame)


class Fake:
    """A daemon by hand."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.listener: Optional[socket.socket] = None
        self.listen()

    def listen(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(PATIENCE_S)
        self.listener.bind(self.path)
        self.listener.listen()

    def accept(self) -> Wire:
        assert self.listener is not None
        return Wire(self.listener.accept()[0])

    def close(self) -> None:
        if self.listener is not None:
            self.listener.close()
            self.listener = None
            os.unlink(self.path)


@pytest.fixture
def fake(tmp_path_factory: pytest.TempPathFactory, directory: Path) -> Iterator[Fake]:
    daemon = Fake(str(directory / "fake"))
    yield daemon
    daemon.close()


def test_a_session_is_begun_with_a_token_of_its_own(fake: Fake) -> None:
    tokens = []
    for _ in range(2):
        client = evfd.Daemon(fake.path)
        calling = Worker(client.status)
        with (wire := fake.accept()).connection:
            began = wire.begin()
            assert began["oneway"] is True
            assert began["parameters"]["calls"] == 0
            tokens.append(began["parameters"]["session"])
            assert wire.call() == {"method": "io.evfdd.Status", "parameters": {}}
            wire.reply(STATUS)
            assert calling.done().version == "9"
    assert len(set(tokens)) == 2
    assert all(len(token) == 32 and int(token, 16) for token in tokens)


def test_a_call_is_sent_again_on_the_session_that_is_taken_up(fake: Fake) -> None:
    client = evfd.Daemon(fake.path)
    calling = Worker(lambda: client.set("e"))
    with (wire := fake.accept()).connection:
        session = wire.begin()["parameters"]["session"]
        call = wire.call()
    with (wire := fake.accept()).connection:
        assert wire.begin()["parameters"] == {"session": session, "calls": 0}
        wire.reply({"isCertain": True})
        assert wire.call() == call
        wire.reply({})
        calling.done()
        calling = Worker(lambda: client.set("f"))
        wire.call()
    with (wire := fake.accept()).connection:
        assert wire.begin()["parameters"] == {"session": session, "calls": 1}
        wire.reply({"isCertain": True})
        wire.call()
        wire.reply({})
        calling.done()


def test_the_next_call_is_not_answered_in_the_place_of_one_that_was_given_up(fake: Fake) -> None:
    client = evfd.Daemon(fake.path, patience=0.2)
    calling = Worker(lambda: client.set("e"))
    with (wire := fake.accept()).connection:
        session = wire.begin()["parameters"]["session"]
        wire.call()
        fake.close()  # It may have been done, and nobody comes in time.
    with pytest.raises(evfd.NoDaemonError):
        calling.done()
    fake.listen()
    calling = Worker(lambda: client.set("f"))
    with (wire := fake.accept()).connection:
        assert wire.begin()["parameters"]["session"] != session
        assert wire.call()["parameters"]["names"] == ["f"]
        wire.reply({})
        calling.done()


def test_descriptors_are_taken_by_the_reply_that_names_them(fake: Fake) -> None:
    client = evfd.Daemon(fake.path)
    before = sorted(descriptors().values())
    opened = {"kind": "event", "mode": "manual", "mayWait": True, "maySet": True}
    calling = Worker(lambda: evfd.Event("e", daemon=client))
    with (wire := fake.accept()).connection:
        wire.begin()
        assert wire.call()["parameters"] == {"names": ["e"]}
        reader, writer = os.pipe()
        try:
            wire.reply({"objects": [{**opened, "fileDescriptor": 0}]}, reader)
            event = calling.done()
            assert os.readlink(f"/proc/self/fd/{event.fileno()}").startswith("pipe:")
            assert not os.get_inheritable(event.fileno())
            # One more than is named, and one less.
            calling = Worker(lambda: evfd.Event("e", daemon=client))
            wire.call()
            wire.reply({"objects": [{**opened, "fileDescriptor": 0}]})
            with pytest.raises(evfd.SystemFailureError, match="cannot be understood"):
                calling.done()
        finally:
            os.close(reader)
            os.close(writer)
    event.close()
    del calling, event, wire
    client.close()
    fake.close()
    assert len(sorted(descriptors().values())) <= len(before)


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\0",
        b"[]\0",
        b"1\0",
        b"\xff\0",
        b'{"parameters":[]}\0',
        b'{"parameters":{"x":1},"parameters":2}\0',
        b"x" * 300_000,
        b"[" * 9999 + b"\0",
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error_and_no_hang(fake: Fake, answer: bytes) -> None:
    client = evfd.Daemon(fake.path)
    calling = Worker(client.status)
    with (wire := fake.accept()).connection:
        wire.begin()
        wire.call()
        try:
            wire.connection.sendall(answer)
        except BrokenPipeError:
            pass
        with pytest.raises(evfd.Error):
            calling.done()
    calling = Worker(client.status)
    with (wire := fake.accept()).connection:
        wire.begin()
        wire.call()
        wire.reply(STATUS)
        assert calling.done().pid == 1


def test_an_answer_may_come_in_any_pieces(fake: Fake) -> None:
    client = evfd.Daemon(fake.path)
    calling = Worker(client.status)
    with (wire := fake.accept()).connection:
        wire.begin()
        wire.call()
        for byte in json.dumps({"parameters": STATUS}).encode() + b"\0":
            wire.connection.sendall(bytes([byte]))
        assert calling.done().can_keep is True


def test_an_error_that_is_not_known_is_told_by_its_name(fake: Fake) -> None:
    client = evfd.Daemon(fake.path)
    calling = Worker(client.status)
    with (wire := fake.accept()).connection:
        wire.begin()
        wire.call()
        wire.reply({}, error="io.evfdd.FromTheFuture")
        with pytest.raises(evfd.SystemFailureError, match="io.evfdd.FromTheFuture"):
            calling.done()
        calling = Worker(client.status)
        wire.call()
        wire.reply({"parameter": "names"}, error="org.varlink.service.InvalidParameter")
        with pytest.raises(ValueError, match="'names'"):
            calling.done()


@pytest.mark.parametrize("fired", [[], ["other"], ["e", "e"]])
def test_an_answer_to_another_wait_is_an_error(fake: Fake, fired: List[str]) -> None:
    client = evfd.Daemon(fake.path)
    answer = {"fired": [{"name": name, "count": 1} for name in fired]}
    for gather in GATHERS:
        waiting = Worker(lambda: client.wait("e", gather=gather))
        with (wire := fake.accept()).connection:
            wire.begin()
            wire.call()
            wire.reply(answer)
            with pytest.raises(evfd.SystemFailureError, match="cannot be understood"):
                waiting.done()
    # Nobody trusts that line any more.
    waiting = Worker(lambda: client.wait("e"))
    with (wire := fake.accept()).connection:
        wire.begin()
        wire.call()
        wire.reply({"fired": [{"name": "e", "count": 2}]})
        assert waiting.done() == [evfd.Fired("e", 2)]


def test_a_refused_sign_of_life_is_one(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evfd.daemon, "_SIGN_OF_LIFE_NS", 10**6)
    client = evfd.Daemon(fake.path)
    waiting = Worker(lambda: client.wait("e"))
    with (wire := fake.accept()).connection:
        wire.begin()
        wire.call()
        with (main := fake.accept()).connection:
            main.begin()
            main.call()
            main.reply({"message": "too many"}, error="io.evfdd.QuotaExceeded")
            assert main.call()["method"] == "io.evfdd.Status"  # It goes on to wait, and asks again.
            wire.reply({"fired": [{"name": "e", "count": 1}]})
            main.reply({"message": "too many"}, error="io.evfdd.QuotaExceeded")
            assert waiting.done() == [evfd.Fired("e", 1)]


def test_a_list_goes_on_however_slowly_it_is_read(fake: Fake) -> None:
    client = evfd.Daemon(fake.path, patience=2)
    listing = client.list()
    reading = Worker(lambda: next(listing))
    with (wire := fake.accept()).connection:
        wire.begin()
        wire.call()
        wire.reply({"objects": [{**OBJECT, "name": "a"}]}, continues=True)
        assert reading.done().name == "a"
        assert evfd.Event().wait(2.1) is False  # Longer than the daemon has for an answer.
    rest = Worker(lambda: list(listing))
    with (wire := fake.accept()).connection:
        wire.begin()
        wire.call()
        wire.reply({"objects": [{**OBJECT, "name": name} for name in "ab"]})
        assert [told.name for told in rest.done()] == ["b"]


@pytest.mark.parametrize(
    "error, parameters",
    [
        ("io.evfdd.SystemFailure", {"message": "\x1b]0;title\x07\x9b31mred\n"}),
        ("io.evfdd.NoSuchName", {"name": "x", "message": "\x1b]0;title\x07\x9b31mred\n"}),
        ("org.varlink.service.InvalidParameter", {"parameter": "\x1b]0;title\x07\x9b31mred\n"}),
        ("org.x.\x1b]0;title\x07\x9b31mred\n", {}),
    ],
)
def test_what_a_daemon_refuses_steers_no_terminal(error: str, parameters: dict[str, str]) -> None:
    refused = errors.from_reply(error, parameters)
    assert "?]0;title??31mred?" in str(refused)
    assert str(refused).isprintable()
