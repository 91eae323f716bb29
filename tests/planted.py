"""Strategies with a planted bug each, for the conformance suite to find, and the right ones that they derive from."""

import itertools

import numpy as np

from allreduce.broadcast import broadcast
from allreduce.noop import Noop
from allreduce.ring import Ring
from allreduce.strategy import AllReduce
from common.errors import PeerFailed
from common.strategy import SyncStrategy, Traits


class PlantedSum(AllReduce):
    """A right all-reduce to plant bugs in: sum at worker 0, then broadcast. It promises no bytes and no seconds."""

    def collect(self, ctx, x):
        """Sum at worker 0, in rank order."""
        if ctx.rank:
            ctx.send(0, x)
        else:
            for worker in range(1, len(ctx.workers)):
                ctx.recv_add(worker, x)

    def all_reduce(self, ctx, x):
        self.collect(ctx, x)
        broadcast(ctx, x)


class WrongMean(PlantedSum):
    def synchronize(self, ctx, bucket):
        super().synchronize(ctx, bucket)
        np.multiply(bucket.grad, len(ctx.workers) / (len(ctx.workers) + 1), out=bucket.grad)


class SumAtOneRankOnly(PlantedSum):
    def all_reduce(self, ctx, x):
        self.collect(ctx, x)


class MissesTheLastWorker(PlantedSum):
    def collect(self, ctx, x):
        if ctx.rank == len(ctx.workers) - 1 > 1:
            x = np.zeros_like(x)
        super().collect(ctx, x)


class AddsInOrderOfArrival(PlantedSum):
    def collect(self, ctx, x):
        if ctx.rank:
            return super().collect(ctx, x)
        got, waiting = np.empty_like(x), set(range(1, len(ctx.workers)))
        while waiting:
            waiting.remove(ctx.recv_any(waiting, got).sender)
            x += got


class Random(PlantedSum):
    generator = np.random.default_rng(0)

    def all_reduce(self, ctx, x):
        x *= np.float32(1) + self.generator.integers(0, 2) * np.finfo(np.float32).eps
        super().all_reduce(ctx, x)


class EveryRankAddsInItsOwnOrder(AllReduce):
    def all_reduce(self, ctx, x):
        n, mine = len(ctx.workers), x.copy()
        for distance in range(1, n):
            ctx.send((ctx.rank + distance) % n, mine)
        for distance in range(1, n):
            ctx.recv_add((ctx.rank - distance) % n, x)


class WritesToLentMemory(PlantedSum):
    def collect(self, ctx, x):
        if ctx.rank == 0:
            return super().collect(ctx, x)
        ctx.lend(0, x)
        x[:] = 0.0


class WritesToExposedMemory(PlantedSum):
    def collect(self, ctx, x):
        if ctx.rank == 0:
            return super().collect(ctx, x)
        ctx.fast.expose(0, x)
        x[:] = 0.0


class WrongBytes(PlantedSum):
    def bytes_sent(self, rank, workers, servers, size):
        return 4 * size


class WrongSeconds(Ring):
    def seconds(self, workers, servers, nbytes, link):
        return 3 * super().seconds(workers, servers, nbytes, link)


class NeverReturns(PlantedSum):
    def all_reduce(self, ctx, x):
        if len(ctx.workers) > 1:
            ctx.recv_into((ctx.rank + 1) % len(ctx.workers), x)


class Raises(PlantedSum):
    def all_reduce(self, ctx, x):
        raise ZeroDivisionError("a bug")


class NoSetup(PlantedSum):
    def setup(self, ctx, params):
        """Forget to."""


class SetupChangesTheParameters(PlantedSum):
    def setup(self, ctx, params):
        super().setup(ctx, params)
        params += 1


class TouchesTheParameters(PlantedSum):
    def synchronize(self, ctx, bucket):
        super().synchronize(ctx, bucket)
        np.add(bucket.params, 1, out=bucket.params)


class ForgetsBuckets(PlantedSum):
    def synchronize(self, ctx, bucket):
        if bucket.index == 0:
            super().synchronize(ctx, bucket)


class HidesADeath(PlantedSum):
    def synchronize(self, ctx, bucket):
        try:
            super().synchronize(ctx, bucket)
        except Exception as error:
            raise KeyError("something") from error


class BlamesTheMessenger(PlantedSum):
    def synchronize(self, ctx, bucket):
        try:
            super().synchronize(ctx, bucket)
        except Exception as error:
            error.rank = ctx.rank
            raise


class GoesOnAlone(PlantedSum):
    def synchronize(self, ctx, bucket):
        try:
            super().synchronize(ctx, bucket)
        except Exception:
            bucket.grad[:] = 0.0


class CannotContinue(PlantedSum):
    traits = Traits(on_worker_death="continue")


class UnknownConsistency(PlantedSum):
    traits = Traits(consistency="ssp")


class ServerUpdateWithoutServers(PlantedSum):
    traits = Traits(update="server")


class DriftsApart(Noop):
    traits = Traits(consistency="none", replicas_equal=True)


class LosesOneStep(PlantedSum):
    def synchronize(self, ctx, bucket):
        if ctx.place.step != 1:
            super().synchronize(ctx, bucket)


# --- other promises ---


class AveragesParameters(PlantedSum):
    """Stage 6 comes before stage 5: every worker updates by itself, then they average their parameters."""

    traits = Traits(exchanges="parameters")

    def synchronize(self, ctx, bucket):
        self.all_reduce(ctx, bucket.params)
        ctx.settle()
        np.divide(bucket.params, np.float32(len(ctx.workers)), out=bucket.params)


class AveragesNothing(AveragesParameters):
    def synchronize(self, ctx, bucket):
        """Forget to."""


class ListensToItsNeighbour(PlantedSum):
    """Asynchronous, and not stopped by a death: takes the gradient of the left neighbour if that is alive."""

    traits = Traits(consistency="asp", replicas_equal=False, on_worker_death="continue")

    def synchronize(self, ctx, bucket):
        if len(ctx.workers) == 1:
            return
        ctx.send((ctx.rank + 1) % len(ctx.workers), bucket.grad)
        try:
            ctx.recv_into((ctx.rank - 1) % len(ctx.workers), bucket.grad)
        except PeerFailed:
            return


class ListensWithoutSetup(ListensToItsNeighbour):
    def setup(self, ctx, params):
        """Forget to."""


# --- strategies with servers ---


class TinyServer(SyncStrategy):
    """The smallest parameter server: push the gradient, pull the parameters; server 0 does it all."""

    traits = Traits(update="server", servers=True)

    def setup(self, ctx, params):
        if ctx.rank == 0:
            ctx.send(ctx.servers[0], params)
        ctx.recv_into(ctx.servers[0], params)

    def synchronize(self, ctx, bucket):
        ctx.send(ctx.servers[0], bucket.grad)
        ctx.recv_into(ctx.servers[0], bucket.params)

    def finish(self, ctx):
        ctx.send(ctx.servers[0], np.zeros(0, np.float32))

    def serve(self, ctx, params, buckets):
        if ctx.rank != ctx.servers[0]:
            return
        ctx.recv_into(0, params)
        self.answer(ctx, params)
        optimizers = [ctx.optimizer(bucket.params) for bucket in buckets]
        for bucket, optimizer in itertools.cycle(zip(buckets, optimizers, strict=True)):
            ctx.place.step, ctx.place.bucket = ctx.recv_any((0,), bucket.grad).step, bucket.index
            if ctx.place.step < 0:
                return
            for worker in ctx.workers[1:]:
                ctx.recv_add(worker, bucket.grad)
            optimizer.step(self.mean(ctx, bucket.grad))
            self.answer(ctx, bucket.params)

    def mean(self, ctx, total):
        """Return the mean gradient, from the sum of all."""
        return total / np.float32(len(ctx.workers))

    def answer(self, ctx, params):
        """Send the parameters to every worker."""
        for worker in ctx.workers:
            ctx.send(worker, params)

    def bytes_sent(self, rank, workers, servers, size):
        if rank < workers:
            return 4 * size
        return workers * 4 * size if rank == workers else 0


class ServerForgetsToDivide(TinyServer):
    def mean(self, ctx, total):
        return total


class ServerClaimsLess(TinyServer):
    def bytes_sent(self, rank, workers, servers, size):
        return 4 * size if rank <= workers else 0


class ServerHidesADeath(TinyServer):
    def serve(self, ctx, params, buckets):
        try:
            super().serve(ctx, params, buckets)
        except Exception:
            return
