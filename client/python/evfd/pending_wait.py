"""A Wait call that is under way on a line of its own.  It can be called off: then nothing is taken
for it, or what was taken is told."""

from __future__ import annotations

from typing import Optional, Sequence

from evfd import errors
from evfd.channel import Parameters
from evfd.clock import Deadline, after_ns
from evfd.daemon import Daemon, fired_of, wait_frame
from evfd.objects import Fired


class PendingWait:
    """The daemon answers at the deadline, if not before.  It is asked by ask(), and nothing else
    that it is made of takes anything: so who is cancelled before has lost nothing."""

    def __init__(self, daemon: Daemon, request: Parameters, deadline: Deadline) -> None:
        self._daemon = daemon
        self._request = request
        self._deadline = deadline
        self._line = daemon._borrow()

    def fileno(self) -> int:
        """Readable when there is an answer."""
        return self._line.channel.fileno()

    def ask(self) -> None:
        """Does not wait: there is room for one call on a line that has none under way."""
        deadline = after_ns(self._daemon._patience_ns)
        self._line.channel.send(wait_frame(self._request, self._deadline), deadline)

    def connect_again(self) -> None:
        """Once the daemon is there again; then ask(), for the same answer if it had one."""
        self._line.connect()

    def overdue(self) -> int:
        """When to look for a sign of life, if there is no answer until then."""
        return self._daemon._overdue(self._deadline)

    def look_for_sign_of_life(self) -> None:
        """NoAnswerError and the like if there is none."""
        self._daemon._ask_for_sign_of_life(self._line.channel, self._deadline)

    def finish(self) -> Sequence[Fired]:
        """The answer.  TimedOutError if the time was over; LostDaemonError: the daemon went away,
        connect_again()."""
        try:
            return fired_of(self._line.receive(self._line.channel), self._request)
        except errors.SystemFailureError:
            self._line.end()  # Whatever comes next on it is as doubtful.
            raise
        finally:
            if self._line.is_connected():
                self._line.note_answer("Wait")
                self._daemon._give_back(self._line)

    def call_off(self) -> Optional[Sequence[Fired]]:
        """The answer, if there was one already.  Once we hung up, the daemon cannot send one and
        puts back what it took."""
        if not self._line.is_connected():
            return None
        self._line.channel.hang_up()
        try:
            return fired_of(self._line.receive(self._line.channel), self._request)
        except errors.Error:
            return None
        finally:
            self._line.end()
