"""The built-in strategies keep their promises, and the conformance suite finds strategies that do not."""

import numpy as np
import planted
import pytest
from allreduces import TwoToAHost

from allreduce.auto import Auto
from allreduce.direct import Direct
from allreduce.double_tree import DoubleTree
from allreduce.halving_doubling import HalvingDoubling
from allreduce.hierarchical import Hierarchical
from allreduce.noop import Noop, Single
from allreduce.recursive_doubling import RecursiveDoubling
from allreduce.ring import Ring
from allreduce.sparse_all_gather import SparseAllGather
from allreduce.star import Star
from allreduce.tree import Tree
from common.strategy import Traits
from common.testing.checks import check_strategy
from common.testing.trial import SGD
from ps.strategy import PsAsync, PsBackup, PsBsp, PsSsp

FAMILY = [Star, Ring, Tree, Direct, DoubleTree, RecursiveDoubling, HalvingDoubling, Hierarchical, TwoToAHost, Auto]
STRATEGIES = [*FAMILY, SparseAllGather, Noop, Single, PsBsp, PsSsp, PsAsync, PsBackup]


@pytest.fixture(autouse=True)
def small_probes(monkeypatch):
    """Let auto measure with fewer bytes: in virtual time no cache matters, so the figures are the same."""
    monkeypatch.setattr("common.link_probe.LARGE", 1 << 18)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_keeps_its_promises(strategy):
    check_strategy(strategy)


def test_a_strategy_keeps_its_promises_with_another_optimizer():
    class Momentum(SGD):
        def __init__(self, params):
            super().__init__(params)
            self.velocity = np.zeros_like(params)

        def step(self, grad, at=0, damping=1.0):
            self.velocity[:] = 0.5 * self.velocity + grad
            super().step(self.velocity)

    check_strategy(Ring, workers=(3,), sizes=(10,), optimizer=Momentum)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (planted.WrongMean, r"WrongMean, workers=1 .* mean gradient of step 0: .* element 0 is 0\.5 instead of 1"),
        (planted.SumAtOneRankOnly, r"worker 1's mean gradient of step 0"),
        (planted.MissesTheLastWorker, r"workers=3 .* worker 0's mean gradient of step 0"),
        (planted.LosesOneStep, r"mean gradient of step 1"),
        (planted.ForgetsBuckets, r"buckets=3.* mean gradient of step 0"),
        (planted.AddsInOrderOfArrival, r"depend on the order of arrival"),
        (planted.Random, r"two runs on the same network gave different bits"),
        (planted.EveryRankAddsInItsOwnOrder, r"the workers hold different parameters"),
        (planted.DriftsApart, r"the workers hold different parameters"),
        (planted.WritesToLentMemory, r"ProtocolError: .*rank 1 wrote to an array that it had lent"),
        (planted.WritesToExposedMemory, r"ProtocolError: .*it wrote to what it had exposed to rank 0"),
        (planted.WrongBytes, r"rank 0 promised 12 bytes in 3 steps, sent 0"),
        (planted.WrongSeconds, r"workers=2 .* a step took .* s, predicted were"),
        (planted.NeverReturns, r"Deadlock: .*waits for"),
        (planted.Raises, r"ZeroDivisionError: a bug"),
        (planted.NoSetup, r"worker 1's parameters after setup: .* element 0 is 200 instead of 100"),
        (planted.SetupChangesTheParameters, r"worker 0's parameters after setup"),
        (planted.TouchesTheParameters, r"worker 0's parameters after step 0"),
        (planted.HidesADeath, r"rank 0 died, rank 1 ended with KeyError"),
        (planted.BlamesTheMessenger, r"rank 0 died, rank \d ended with PeerFailed"),
        (planted.GoesOnAlone, r"rank 0 died, rank \d never noticed"),
        (planted.CannotContinue, r"rank 0 died, rank \d ended with PeerFailed"),
        (planted.UnknownConsistency, r"consistency 'ssp' is none of"),
        (planted.ServerUpdateWithoutServers, r"update='server' needs servers=True"),
    ],
)
def test_a_planted_bug_is_found_and_named(strategy, message):
    with pytest.raises(AssertionError, match=message) as caught:
        check_strategy(strategy)
    assert "\n" not in str(caught.value)


def test_the_strategy_without_a_planted_bug_passes():
    check_strategy(planted.PlantedSum)


def test_an_instance_is_refused_because_ranks_may_not_share_one():
    with pytest.raises(TypeError, match="each rank gets a fresh one"):
        check_strategy(Ring())


def test_every_rank_gets_a_strategy_of_its_own():
    class Alone(planted.PlantedSum):
        def setup(self, ctx, params):
            assert not hasattr(self, "rank")
            self.rank = ctx.rank
            super().setup(ctx, params)

        def synchronize(self, ctx, bucket):
            assert self.rank == ctx.rank
            super().synchronize(ctx, bucket)

    check_strategy(Alone, workers=(3,), sizes=(10,))


def test_parameters_may_be_exchanged_instead_of_gradients():
    check_strategy(planted.AveragesParameters)


def test_exchanged_parameters_that_differ_are_found():
    with pytest.raises(AssertionError, match="hold different parameters"):
        check_strategy(planted.AveragesNothing)


def test_a_strategy_may_be_asynchronous_and_outlive_its_workers():
    check_strategy(planted.ListensToItsNeighbour)


def test_the_bits_of_an_asynchronous_strategy_may_depend_on_the_order_of_arrival():
    class Asynchronous(planted.AddsInOrderOfArrival):
        traits = Traits(consistency="asp")

    check_strategy(Asynchronous)


def test_setup_equalises_in_an_asynchronous_strategy_too():
    with pytest.raises(AssertionError, match="worker 1's parameters after setup"):
        check_strategy(planted.ListensWithoutSetup)


def test_servers_for_a_strategy_without_servers_are_an_error_in_words():
    with pytest.raises(AssertionError, match="Star has no servers"):
        check_strategy(Star, servers=(1,))


def test_a_parameter_server_passes():
    check_strategy(planted.TinyServer, servers=(1,))


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (planted.ServerForgetsToDivide, r"worker 0's parameters after step 0"),
        (planted.ServerClaimsLess, r"workers=2 .* rank 2 promised 12 bytes in 3 steps, sent 24"),
        (planted.ServerHidesADeath, r"rank \d died, rank \d (never noticed|ended with)|Deadlock"),
    ],
)
def test_a_bug_planted_at_the_server_is_found_and_named(strategy, message):
    with pytest.raises(AssertionError, match=message):
        check_strategy(strategy, servers=(1,))
