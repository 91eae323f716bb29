"""`hierarchical` uses the job's hosts, or the option's groups, and sends between them as little as a ring of hosts."""

import numpy as np
import pytest

from allreduce.hierarchical import Hierarchical, consecutive
from allreduce.ring import Ring
from common.errors import ConfigError
from common.simulate import simulate
from common.strategy import Bucket, Link
from common.transport.virtual.network import Network

LINK = Link(alpha=2.0**-10, beta=2.0**-20, gamma=2.0**-23)
NETWORK = Network(latency=LINK.alpha, bandwidth=1 / LINK.beta, reduce=LINK.gamma)
HOSTS = [((0, 1), (2, 3)), ((3, 0, 4), (1,), (5, 2)), ((0,), (1,), (2,)), ((2, 0, 1),)]


def job(hosts, size, make=Hierarchical):
    """Return the outcome of one step: (strategy, mean gradient) of each rank, whose gradient was 10^rank."""
    n = sum(map(len, hosts))

    def program(ctx):
        strategy = make()
        strategy.setup(ctx, np.zeros(size, np.float32))
        grad = np.full(size, 10.0**ctx.rank)
        strategy.synchronize(ctx, Bucket(grad, grad))
        return strategy, grad

    return simulate(program, n, network=NETWORK, hosts=hosts)


@pytest.mark.parametrize("hosts", HOSTS)
@pytest.mark.parametrize("size", [0, 1, 60])
def test_the_hosts_of_the_job_are_used_and_every_worker_counts_once(hosts, size):
    outcome = job(hosts, size)
    n = len(outcome.results)
    for _, grad in outcome.results:
        np.testing.assert_allclose(grad, int("1" * n) / n, rtol=1e-6)


def test_hosts_are_added_in_the_order_of_a_ring_and_workers_in_the_order_of_their_host():
    x = np.random.default_rng(1).standard_normal((6, 300), np.float32)
    hosts = ((3, 0, 4), (1,), (5, 2))

    def program(ctx):
        grad = x[ctx.rank].copy()
        Hierarchical().all_reduce(ctx, grad)
        ctx.settle()
        return grad

    a, b, c = (x[3] + x[0] + x[4]), x[1], (x[5] + x[2])
    chunks = [(a + b + c)[:100], (b + c + a)[100:200], (c + a + b)[200:]]
    for grad in simulate(program, 6, hosts=hosts).results:
        assert grad.tobytes() == np.concatenate(chunks).tobytes()


@pytest.mark.parametrize("hosts", HOSTS)
def test_only_the_first_worker_of_each_host_sends_to_other_hosts(hosts):
    home = {rank: host for host in hosts for rank in host}
    setup = simulate(lambda ctx: Hierarchical().setup(ctx, np.zeros(60, np.float32)), len(home), hosts=hosts)
    for rank, meter in enumerate(job(hosts, 60).meters):
        setup_only = setup.meters[rank].messages_to
        step = {peer for peer, count in meter.messages_to.items() if count > setup_only.get(peer, 0)}
        abroad = step - set(home[rank])
        leaders = {host[0] for host in hosts}
        assert abroad <= (leaders if rank in leaders else set())
        assert bool(abroad) == (rank in leaders and len(hosts) > 1)


@pytest.mark.parametrize("hosts", HOSTS)
def test_after_setup_bytes_and_seconds_follow_the_hosts_of_the_job(hosts):
    size, n = 60, sum(map(len, hosts))
    setup = simulate(lambda ctx: Hierarchical().setup(ctx, np.zeros(size, np.float32)), n, network=NETWORK, hosts=hosts)
    outcome = job(hosts, size)
    for rank, (strategy, _) in enumerate(outcome.results):
        sent = outcome.meters[rank].bytes_sent - setup.meters[rank].bytes_sent
        assert sent == 2 * strategy.bytes_sent(rank, n, 0, size)  # float64
    g, alone = max(map(len, hosts)), Ring().seconds(len(hosts), 0, 4000, LINK)
    inside = (g > 1) * (2 * LINK.alpha + 8000 * (g - 1) * LINK.beta + 4000 * (g - 1) * LINK.gamma)
    assert outcome.results[0][0].seconds(n, 0, 4000, LINK) == pytest.approx(inside + alone)


def test_the_option_overrides_the_hosts_of_the_job():
    def leaders_link(outcome):
        return 2 in outcome.meters[0].messages_to and 3 not in outcome.meters[0].messages_to

    one_host = [(0, 1, 2, 3, 4)]
    assert leaders_link(job(one_host, 60, lambda: Hierarchical(group=2)))
    assert [list(host) for host in consecutive(5, 2)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("group", [0, -1, 2.5, "two", True])
def test_an_impossible_group_size_is_refused(group):
    with pytest.raises(ConfigError, match=r"group is .*: give a whole number from 1"):
        Hierarchical(group)
