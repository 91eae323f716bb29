"""The barrier of the workers: none leaves it before the last has entered. Its deadline holds for each round.

A dissemination barrier: ⌈log₂n⌉ rounds of empty messages. In the round of distance d each worker sends to the worker d
places on and waits for the worker d places back.

Source: Hensgen, Finkel and Manber, "Two algorithms for barrier synchronization", 1988.
"""

from common.transport.base import Endpoint
from common.types import EMPTY


def barrier(endpoint: Endpoint, worker: int, n: int) -> None:
    """Block until all of the `n` workers have called `barrier`; this is number `worker`. Raises as `recv_into` does."""
    distance = 1
    while distance < n:
        endpoint.send((worker + distance) % n, EMPTY)
        endpoint.recv_into((worker - distance) % n, EMPTY)
        distance *= 2
