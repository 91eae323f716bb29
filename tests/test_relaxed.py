"""The conformance suite finds servers that lose or double pushes, or let workers too far ahead, or not far enough."""

import pytest

from common.strategy import Traits
from common.testing.checks import check_strategy
from ps.consistency import ASP, SSP, Backup
from ps.strategy import ParameterServer, PsAsync, PsBackup, PsSsp


def planted(consistency, promised):
    """Return a parameter server with another consistency than it promises."""

    class Planted(ParameterServer):
        traits = Traits(update="server", servers=True, consistency=promised, replicas_equal=False)

        def __init__(self):
            super().__init__()
            self.consistency = consistency

        def bytes_sent(self, *_):
            return None

    return Planted


class Drops(ASP):
    """Worker 1's second push is answered and never applied."""

    def decide(self, clocks, worker, step):
        found = super().decide(clocks, worker, step)
        return "drop" if (worker, step) == (1, 1) else found


class Twice(PsAsync):
    """The first push counts twice."""

    def synchronize(self, ctx, bucket):
        if ctx.place.step == 0:
            bucket.grad *= 2
        super().synchronize(ctx, bucket)


class Patient(Backup):
    """Waits for all workers, so none is ever late."""

    def closes(self, clocks):
        return len(clocks.taken) == clocks.n


class OnTime(PsBackup):
    def __init__(self):
        super().__init__()
        self.consistency = Patient(1)


class EndsAlone(PsAsync):
    """Ends with parameters that differ a little from worker to worker."""

    def setup(self, ctx, params):
        super().setup(ctx, params)
        self.params, self.rank = params, ctx.rank

    def finish(self, ctx):
        super().finish(ctx)
        self.params += 1e-6 * self.params * self.rank


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (planted(SSP(2), "ssp(1)"), r"ssp\(1\) lets a worker be 1 steps ahead, it was 2"),
        (planted(SSP(1), "ssp(2)"), r"ssp\(2\) lets a worker be 2 steps ahead, it was 1"),
        (planted(SSP(2), "asp"), r"asp lets a worker be 5 steps ahead, it was 2"),
        (OnTime, r"backup\(1\) lets a worker be 5 steps ahead, it was 0"),
        (planted(Drops(), "asp"), r"worker 0's parameters after finish: .* elements are off"),
        (Twice, r"worker 0's parameters after finish: .* elements are off"),
        (EndsAlone, r"after finish workers 0 and 1 hold different parameters"),
    ],
)
def test_a_planted_bug_is_found_and_named(strategy, message):
    with pytest.raises(AssertionError, match=message) as caught:
        check_strategy(strategy, workers=(2,), servers=(1,), sizes=(10,))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("strategy", [PsSsp, lambda: PsSsp(1), PsAsync, PsBackup, lambda: PsAsync("inverse")])
def test_servers_without_a_planted_bug_pass(strategy):
    check_strategy(strategy, workers=(1, 3), servers=(2,), sizes=(10,))


def test_worker_counts_that_a_strategy_refuses_are_left_out():
    assert check_strategy(lambda: PsBackup(2), workers=(1, 2, 3), servers=(1,), sizes=(10,)) == 2
