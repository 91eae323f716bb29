"""An endpoint that records its calls."""

from common.place import Place
from common.transport.base import Endpoint, Message


class Spy(Endpoint):
    """Records its calls."""

    def __init__(self):
        super().__init__(Place(3), deadline=7.0)
        self.calls = []

    def send(self, to, array):
        self.calls.append(("send", to, array))

    def lend(self, to, array):
        self.calls.append(("lend", to, array))

    def expose(self, to, array):
        self.calls.append(("expose", to, array))

    def trim(self):
        self.calls.append(("trim",))

    def settle(self):
        self.calls.append(("settle",))

    def recv_into(self, from_, out):
        self.calls.append(("recv_into", from_, out))

    def recv_add(self, from_, into):
        self.calls.append(("recv_add", from_, into))

    def recv_add_answer(self, from_, into, finish):
        self.calls.append(("recv_add_answer", from_, into, finish))

    def recv_any(self, from_, out):
        self.calls.append(("recv_any", from_, out))
        return Message(1, 2, 3, 4)

    def spawn(self, fn):
        self.calls.append(("spawn", fn))

    def queue(self):
        self.calls.append(("queue",))

    def abandon(self):
        self.calls.append(("abandon",))

    def close(self, *, linger=0.0):
        self.calls.append(("close", linger))

    def alloc(self, shape, dtype):
        return "memory", shape, dtype

    def now(self):
        return 42.0

    def sleep(self, seconds):
        self.calls.append(("sleep", seconds))
