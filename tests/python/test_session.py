"""Tests of a client with a fake daemon: the calls that it sends, and replies that are invalid."""

from __future__ import annotations

import json
import os
import socket
import tracemalloc
from pathlib import Path
from typing import Any, Iterator, List, Literal, Optional, Sequence

import pytest

import evfd
from evfd import errors
from evfd._connection import Connection
from evfd._session_handles import SessionHandles
from harness import TIMEOUT_S, Worker, descriptors

STATUS = {
    "version": "9", "pid": 1, "startedNSec": 1, "objects": 0, "connections": 1, "waits": 0,
    "monitors": 0, "subscriptions": 0, "descriptors": 9, "descriptorLimit": 99, "fdStore": "none",
    "orphanedSessions": 0, "stashedDescriptors": 0, "journalBytes": 0, "isJournalWritable": True,
    "newer": [{"x": 1}],
}  # fmt: skip


OBJECT = {
    "id": 7, "kind": "event", "mode": "manual", "ownerUid": 0, "groupGid": 0, "creatorPid": 1,
    "createdNSec": 1, "permissions": "0666", "lifetime": "permanent", "waits": 0,
}  # fmt: skip
REQUIREMENTS: Sequence[Literal["any", "all"]] = ("any", "all")


class Wire:
    """The fake daemon's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(TIMEOUT_S)
        self._unread = b""

    def call(self) -> Any:
        """Wait for the next call and return it."""
        while b"\0" not in self._unread:
            data = self.connection.recv(65536)
            assert data, "the client closed the connection"
            self._unread += data
        frame, self._unread = self._unread.split(b"\0", 1)
        return json.loads(frame)

    def begin(self) -> Any:
        """Wait for the call that starts the session and return it."""
        call = self.call()
        assert call["method"] == "io.evfdd.Resume"
        return call

    def reply(self, parameters: Any, *numbers: int, **more: Any) -> None:
        frame = json.dumps({"parameters": parameters, **more}).encode() + b"\0"
        if numbers:
            socket.send_fds(self.connection, [frame], list(numbers))
        else:
            self.connection.sendall(frame)


class FakeDaemon:
    """A listening socket that takes the place of a daemon. The test sends the replies."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.listener: Optional[socket.socket] = None
        self.listen()

    def listen(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(TIMEOUT_S)
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
def fake_daemon(tmp_path_factory: pytest.TempPathFactory, directory: Path) -> Iterator[FakeDaemon]:
    daemon = FakeDaemon(str(directory / "fake_daemon"))
    yield daemon
    daemon.close()


def test_each_session_starts_with_its_own_token(fake_daemon: FakeDaemon) -> None:
    tokens = []
    for _ in range(2):
        client = evfd.Client(fake_daemon.path)
        calling = Worker(client.status)
        with (wire := fake_daemon.accept()).connection:
            began = wire.begin()
            assert began["oneway"] is True
            assert began["parameters"]["sequence"] == 0
            tokens.append(began["parameters"]["session"])
            assert wire.call() == {"method": "io.evfdd.Status", "parameters": {}}
            wire.reply(STATUS)
            assert calling.result().version == "9"
    assert len(set(tokens)) == 2
    assert all(len(token) == 32 and int(token, 16) for token in tokens)


def test_a_call_is_sent_again_in_the_resumed_session(fake_daemon: FakeDaemon) -> None:
    client = evfd.Client(fake_daemon.path)
    calling = Worker(lambda: client.set("e"))
    with (wire := fake_daemon.accept()).connection:
        session = wire.begin()["parameters"]["session"]
        call = wire.call()
    with (wire := fake_daemon.accept()).connection:
        assert wire.begin()["parameters"] == {"session": session, "sequence": 0}
        wire.reply({"isHistoryComplete": True})
        assert wire.call() == call
        wire.reply({})
        calling.result()
        calling = Worker(lambda: client.set("f"))
        wire.call()
    with (wire := fake_daemon.accept()).connection:
        assert wire.begin()["parameters"] == {"session": session, "sequence": 1}
        wire.reply({"isHistoryComplete": True})
        wire.call()
        wire.reply({})
        calling.result()


def test_the_call_after_a_failed_one_starts_another_session(fake_daemon: FakeDaemon) -> None:
    client = evfd.Client(fake_daemon.path, timeout=0.2)
    calling = Worker(lambda: client.set("e"))
    with (wire := fake_daemon.accept()).connection:
        session = wire.begin()["parameters"]["session"]
        wire.call()
        # Closes the listening socket, so that the client cannot resume the session before the
        # client's timeout ends. The client then cannot know whether the call was executed.
        fake_daemon.close()
    with pytest.raises(evfd.NoDaemonError):
        calling.result()
    fake_daemon.listen()
    calling = Worker(lambda: client.set("f"))
    with (wire := fake_daemon.accept()).connection:
        assert wire.begin()["parameters"]["session"] != session
        assert wire.call()["parameters"]["items"] == [{"name": "f", "count": 1}]
        wire.reply({})
        calling.result()


def test_a_oneway_set_is_neither_counted_nor_repeated(fake_daemon: FakeDaemon) -> None:
    client = evfd.Client(fake_daemon.path)
    client.set_oneway("e", "f", count=3)
    with (wire := fake_daemon.accept()).connection:
        session = wire.begin()["parameters"]["session"]
        assert wire.call() == {
            "method": "io.evfdd.Set",
            "parameters": {"items": [{"name": "e", "count": 3}, {"name": "f", "count": 3}]},
            "oneway": True,
        }
    calling = Worker(lambda: client.set("g"))
    with (wire := fake_daemon.accept()).connection:
        assert wire.begin()["parameters"] == {"session": session, "sequence": 0}
        wire.reply({"isHistoryComplete": True})
        assert wire.call()["parameters"]["items"] == [{"name": "g", "count": 1}]
        wire.reply({})
        calling.result()


def test_a_oneway_set_goes_to_the_next_daemon_if_the_connection_was_lost_before(
    fake_daemon: FakeDaemon,
) -> None:
    client = evfd.Client(fake_daemon.path)
    client.set_oneway("e")
    with (wire := fake_daemon.accept()).connection:
        session = wire.begin()["parameters"]["session"]
        wire.call()
    calling = Worker(lambda: client.set_oneway("f"))
    with (wire := fake_daemon.accept()).connection:
        assert wire.begin()["parameters"] == {"session": session, "sequence": 0}
        wire.reply({"isHistoryComplete": True})
        assert wire.call()["parameters"]["items"] == [{"name": "f", "count": 1}]
        calling.result()


def test_a_daemon_that_does_not_read_delays_oneway_sets_until_the_timeout(
    fake_daemon: FakeDaemon,
) -> None:
    client = evfd.Client(fake_daemon.path, timeout=3)
    sets = 0
    with pytest.raises(evfd.NoAnswerError):
        while True:
            client.set_oneway("e")
            sets += 1
    # The daemon reads again. It finds whole calls only, and the session continues.
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        for _ in range(sets):
            assert wire.call()["oneway"] is True
        calling = Worker(lambda: client.set("f"))
        assert wire.call()["parameters"]["items"] == [{"name": "f", "count": 1}]
        wire.reply({})
        calling.result()


def test_a_oneway_set_waits_while_the_socket_is_full(fake_daemon: FakeDaemon) -> None:
    client = evfd.Client(fake_daemon.path)
    names = [f"e{number}" for number in range(3_000)]

    def set_all() -> None:
        for name in names:
            client.set_oneway(name)

    setting = Worker(set_all)
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        assert [wire.call()["parameters"]["items"][0]["name"] for _ in names] == names
        setting.result()


def test_a_oneway_set_reports_the_reason_of_a_daemon_that_rejects_the_connection(
    fake_daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = evfd.Client(fake_daemon.path)
    client.set_oneway("e")
    with (wire := fake_daemon.accept()).connection:
        wire.reply({"message": "too many"}, error="io.evfdd.QuotaExceeded")
    # The daemon closes the connection after the client has checked it, and before the client sends.
    monkeypatch.setattr(Connection, "is_closed", lambda _: False)
    with pytest.raises(evfd.LimitError, match="too many"):
        client.set_oneway("e")


def test_a_reply_receives_the_descriptors_that_it_names(fake_daemon: FakeDaemon) -> None:
    client = evfd.Client(fake_daemon.path)
    before = sorted(descriptors().values())
    opened = {"kind": "event", "mode": "manual", "canWait": True, "canSet": True}
    calling = Worker(lambda: evfd.Event("e", create=True, client=client))
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        assert wire.call()["parameters"] == {"items": [{"name": "e"}]}
        reader, writer = os.pipe()
        try:
            wire.reply({"objects": [{**opened, "fileDescriptor": 0}]}, reader)
            event = calling.result()
            assert os.readlink(f"/proc/self/fd/{event.fileno()}").startswith("pipe:")
            assert not os.get_inheritable(event.fileno())
            # The next reply says that it has a descriptor, but has none.
            calling = Worker(lambda: evfd.Event("e", create=True, client=client))
            wire.call()
            wire.reply({"objects": [{**opened, "fileDescriptor": 0}]})
            with pytest.raises(evfd.SystemFailureError, match="cannot be understood"):
                calling.result()
        finally:
            os.close(reader)
            os.close(writer)
    event.close()
    del calling, event, wire
    client.close()
    fake_daemon.close()
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
def test_a_malformed_reply_is_an_error(fake_daemon: FakeDaemon, answer: bytes) -> None:
    client = evfd.Client(fake_daemon.path)
    calling = Worker(client.status)
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        wire.call()
        try:
            wire.connection.sendall(answer)
        except BrokenPipeError:
            pass
        with pytest.raises(evfd.Error):
            calling.result()
    calling = Worker(client.status)
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        wire.call()
        wire.reply(STATUS)
        assert calling.result().pid == 1


def test_a_reply_may_arrive_byte_by_byte(fake_daemon: FakeDaemon) -> None:
    client = evfd.Client(fake_daemon.path)
    calling = Worker(client.status)
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        wire.call()
        for byte in json.dumps({"parameters": STATUS}).encode() + b"\0":
            wire.connection.sendall(bytes([byte]))
        assert calling.result().is_journal_writable is True


def test_an_unknown_error_is_reported_by_its_name(fake_daemon: FakeDaemon) -> None:
    client = evfd.Client(fake_daemon.path)
    calling = Worker(client.status)
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        wire.call()
        wire.reply({}, error="io.evfdd.FromTheFuture")
        with pytest.raises(evfd.SystemFailureError, match="io.evfdd.FromTheFuture"):
            calling.result()
        calling = Worker(client.status)
        wire.call()
        wire.reply({"parameter": "items"}, error="org.varlink.service.InvalidParameter")
        with pytest.raises(ValueError, match="'items'"):
            calling.result()


@pytest.mark.parametrize("fired", [[], ["other"], ["e", "e"]])
def test_a_reply_to_another_wait_is_an_error(fake_daemon: FakeDaemon, fired: List[str]) -> None:
    client = evfd.Client(fake_daemon.path)
    answer = {
        "fired": [
            {"name": name, "count": 1, "index": index, "id": 7} for index, name in enumerate(fired)
        ]
    }
    for require in REQUIREMENTS:
        waiting = Worker(lambda: client.wait("e", require=require))
        with (wire := fake_daemon.accept()).connection:
            wire.begin()
            wire.call()
            wire.reply(answer)
            with pytest.raises(evfd.SystemFailureError, match="cannot be understood"):
                waiting.result()
    # After an invalid reply the client uses another session for the next call.
    waiting = Worker(lambda: client.wait("e"))
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        wire.call()
        wire.reply({"fired": [{"name": "e", "count": 2, "index": 0, "id": 7}]})
        assert waiting.result() == [evfd.Fired("e", 2, 0, 7)]


def test_an_error_reply_proves_that_the_daemon_is_alive(
    fake_daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evfd._client, "_KEEPALIVE_INTERVAL_NS", 10**6)
    client = evfd.Client(fake_daemon.path)
    waiting = Worker(lambda: client.wait("e"))
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        wire.call()
        with (main := fake_daemon.accept()).connection:
            main.begin()
            main.call()
            main.reply({"message": "too many"}, error="io.evfdd.QuotaExceeded")
            # The client continues to wait, and again calls Status to learn whether the daemon is
            # alive.
            assert main.call()["method"] == "io.evfdd.Status"
            wire.reply({"fired": [{"name": "e", "count": 1, "index": 0, "id": 7}]})
            main.reply({"message": "too many"}, error="io.evfdd.QuotaExceeded")
            assert waiting.result() == [evfd.Fired("e", 1, 0, 7)]


def test_a_list_read_more_slowly_than_the_timeout_continues(fake_daemon: FakeDaemon) -> None:
    client = evfd.Client(fake_daemon.path, timeout=2)
    listing = client.list()
    reading = Worker(lambda: next(listing))
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        wire.call()
        wire.reply({"objects": [{**OBJECT, "name": "a"}]}, continues=True)
        assert reading.result().name == "a"
        # Nobody sets this event, so the wait only pauses the test for longer than the client's
        # timeout.
        assert evfd.Event().wait(2.1) is False
    rest = Worker(lambda: list(listing))
    with (wire := fake_daemon.accept()).connection:
        wire.begin()
        wire.call()
        wire.reply({"objects": [{**OBJECT, "name": name} for name in "ab"]})
        assert [shown.name for shown in rest.result()] == ["b"]


@pytest.mark.parametrize(
    "error, parameters",
    [
        ("io.evfdd.SystemFailure", {"message": "\x1b]0;title\x07\x9b31mred\n"}),
        ("io.evfdd.NoSuchName", {"name": "x", "message": "\x1b]0;title\x07\x9b31mred\n"}),
        ("org.varlink.service.InvalidParameter", {"parameter": "\x1b]0;title\x07\x9b31mred\n"}),
        ("org.x.\x1b]0;title\x07\x9b31mred\n", {}),
    ],
)
def test_an_error_message_contains_no_control_characters(
    error: str, parameters: dict[str, str]
) -> None:
    refused = errors.from_reply(error, parameters)
    assert "?]0;title??31mred?" in str(refused)
    assert str(refused).isprintable()


def test_a_session_with_very_many_objects_needs_no_more_memory_for_each() -> None:
    handles = SessionHandles()

    def create(count: int) -> None:
        for number in range(count):
            parameters = {"name": f"object-{number}", "lifetime": "session"}
            handles.add("CreateEvent", parameters, {"created": True})

    create(1024)
    tracemalloc.start()
    create(20_000)
    more_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert more_bytes < 64 * 1024
    assert handles
