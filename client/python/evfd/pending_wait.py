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
    """The daemon answers at the deadline, if not before."""

    def __init__(self, daemon: Daemon, request: Parameters, deadline: Deadline) -> None:
        self._daemon = daemon
        self._request = request
        self._deadline = deadline
        self._line = daemon._borrow()
        self.ask_again()

    def fileno(self) -> int:
        """Readable when there is an answer."""
        return self._line.channel.fileno()

    def ask_again(self) -> None:
        """Once the daemon is there again: for the same answer, if it had one."""
        self._line.connect()
        deadline = after_ns(self._daemon._patience_ns)
        self._line.channel.send(wait_frame(self._request, self._deadline), deadline)

    def finish(self) -> Sequence[Fired]:
        """The answer.  TimedOutError if the time was over; LostDaemonError: the daemon went away,
        ask_again()."""
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
