"""Other people's all-reduce, as baselines behind the same interface: gloo, DDP, NCCL, MPI. See docs/baselines.md.

They open their own connections, so nobody here can count their bytes, and they run on real processes only. torch and
mpi4py are imported when a rank needs them. An engine's error says that a connection broke, but not which rank broke
it; `translated` finds that out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from allreduce.broadcast import broadcast
from allreduce.strategy import AllReduce
from common.context import Context
from common.errors import ConfigError, RunError
from common.pipeline.engine import EngineStrategy, EngineTraits
from common.strategy import Bucket
from common.types import Array, Vector

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

    from common.models.flat import FlatModel
    from common.pipeline.load import Batch
    from common.pipeline.train import Train
    from common.runtime.engine_host import EngineHost

TIMED_OUT = re.compile(r"timed? ?out", re.IGNORECASE)


@contextlib.contextmanager
def translated(ctx: Context, host: EngineHost, call: str) -> Iterator[None]:
    """Turn the RuntimeErrors of an engine's `call` into this project's errors.

    A deadline that passed is DeadlineExceeded. After any other error the workers meet over this project's transport,
    which knows the rank that is missing: PeerFailed, within a deadline. If all workers come, the engine failed by
    itself: RunError.
    """
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if TIMED_OUT.search(reason):
            raise host.waited(call) from error
        ctx.barrier()
        raise RunError(f"{call}: {reason}", **ctx.place.fields()) from error


class TorchEngine(EngineStrategy):
    """An engine of torch.distributed. Its `group` is a process group of all workers, for this strategy alone."""

    backend = "gloo"
    traits = EngineTraits(own_transport="gloo")
    group: ProcessGroup

    def setup(self, ctx: Context, params: Vector) -> None:
        """Give every worker the parameters of worker 0, then join the process group. Blocks.

        Calls of the group get the job's deadline. torch.distributed wants a default group beside all other groups:
        the first strategy of a process makes that group, and nobody uses it.
        """
        import torch.distributed as dist

        broadcast(ctx, params)
        ctx.settle()
        loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
        os.environ[f"{self.backend.upper()}_SOCKET_IFNAME"] = ",".join(loopback)  # else it binds to the host's name
        timeout = timedelta(seconds=self.host.deadline)
        with translated(ctx, self.host, self.backend):
            if not dist.is_initialized():
                store = self.host.store("torch.distributed")
                dist.init_process_group(
                    self.backend, store=store, rank=ctx.rank, world_size=len(ctx.workers), timeout=timeout
                )
            self.group = dist.new_group(backend=self.backend, timeout=timeout)
        self.host.groups += 1

    def finish(self, ctx: Context) -> None:
        """Destroy the group (the last strategy of a process: the default group too) when all are done. Blocks."""
        import torch.distributed as dist

        ctx.barrier()
        dist.destroy_process_group(self.group)
        self.host.groups -= 1
        if not self.host.groups:
            dist.destroy_process_group()


class Gloo(TorchEngine, AllReduce):
    """torch.distributed's all_reduce over gloo, on our flat gradient: what CPU clusters run."""

    def all_reduce(self, ctx: Context, x: Array) -> None:
        import torch
        import torch.distributed as dist

        with translated(ctx, self.host, "gloo"):
            dist.all_reduce(torch.from_numpy(x), group=self.group)


class Ddp(TorchEngine):
    """torch's DistributedDataParallel over gloo: averages during backward, so its communication hides in `train`.

    `bucket_cap_mb` is torch's: the size, in MiB, from which a bucket of gradients is sent while backward goes on.
    """

    traits = EngineTraits(own_transport="gloo", synchronizes_in="train")

    def __init__(self, bucket_cap_mb: float = 25.0) -> None:
        given: Any = bucket_cap_mb
        if not (isinstance(given, int | float) and given > 0):
            raise ValueError(f"bucket_cap_mb is {bucket_cap_mb!r}: give a number above 0, in MiB")
        self.bucket_cap_mb = bucket_cap_mb

    def wrap(self, ctx: Context, model: FlatModel, train: Train) -> Train:
        """Put DDP around the module. It copies the averaged gradients back into our flat vector."""
        from torch.nn.parallel import DistributedDataParallel

        with translated(ctx, self.host, "gloo"):  # it compares the models of all workers
            model.forward = DistributedDataParallel(
                model.module, process_group=self.group, bucket_cap_mb=self.bucket_cap_mb, gradient_as_bucket_view=False
            )

        def averaged(model: FlatModel, batch: Batch) -> float:
            with translated(ctx, self.host, "gloo"):
                return train(model, batch)

        return averaged

    def synchronize(self, ctx: Context, bucket: Bucket) -> None:
        """Do nothing: backward has left the mean gradient in the bucket."""


class Nccl(TorchEngine, AllReduce):
    """NCCL's all-reduce between GPUs, with a copy of the gradient to the GPU and back; needs a GPU for each worker."""

    backend = "nccl"
    traits = EngineTraits(own_transport="nccl")

    def check(self, workers: int) -> None:
        import torch
        import torch.distributed as dist

        gpus = torch.cuda.device_count() if dist.is_nccl_available() else 0
        if gpus < workers:
            raise ConfigError(
                f"strategy 'nccl' needs a CUDA GPU for each worker: torch sees {gpus}, for {workers} workers; "
                "on CPUs, use gloo"
            )

    def setup(self, ctx: Context, params: Vector) -> None:
        import torch

        os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"  # else its watchdog kills this process without a word
        torch.cuda.set_device(ctx.rank)
        super().setup(ctx, params)

    def all_reduce(self, ctx: Context, x: Array) -> None:
        import torch
        import torch.distributed as dist

        host = torch.from_numpy(x)
        with self.host.limit("nccl"), translated(ctx, self.host, "nccl"):
            device = host.to("cuda")
            dist.all_reduce(device, group=self.group)
            host.copy_(device)


class Mpi(EngineStrategy, AllReduce):
    """Open MPI's Allreduce through mpi4py, on our flat gradient; mpirun starts the ranks."""

    traits = EngineTraits(own_transport="mpi", launcher="mpi")

    def check(self, workers: int) -> None:
        if importlib.util.find_spec("mpi4py") is None:
            how = "pip install -e '.[mpi]', apt-get install openmpi-bin"
            raise ConfigError(f"strategy 'mpi' needs mpi4py and Open MPI: {how}")
        if shutil.which("mpirun") is None:
            raise ConfigError("strategy 'mpi' needs Open MPI's mpirun: apt-get install openmpi-bin")
        said = subprocess.run(["mpirun", "--version"], capture_output=True, text=True, timeout=10, check=False)
        if "Open MPI" not in said.stdout:
            raise ConfigError("strategy 'mpi': the mpirun here is not Open MPI's: apt-get install openmpi-bin")

    def setup(self, ctx: Context, params: Vector) -> None:
        super().setup(ctx, params)
        with self._limited(ctx, "MPI_Init"):
            mpi = _mpi()
            mpi.Init_thread(mpi.THREAD_SERIALIZED)
        found, ranks = mpi.COMM_WORLD.size, len(ctx.workers)
        if found != ranks:
            cause = f"mpi4py found {found} of {ranks} ranks: the libmpi that it loads is not that of mpirun"
            raise RunError(cause, **ctx.place.fields())

    def all_reduce(self, ctx: Context, x: Array) -> None:
        with self._limited(ctx, "MPI_Allreduce"):
            mpi = _mpi()
            mpi.COMM_WORLD.Allreduce(mpi.IN_PLACE, x)

    def finish(self, ctx: Context) -> None:
        with self._limited(ctx, "MPI_Finalize"):
            _mpi().Finalize()

    @contextlib.contextmanager
    def _limited(self, ctx: Context, call: str) -> Iterator[None]:
        with self.host.limit(call), translated(ctx, self.host, call):
            yield


def _mpi() -> Any:
    """Return mpi4py's MPI module. Importing it neither starts MPI nor ends it at exit, where no deadline holds."""
    import mpi4py

    mpi4py.rc.initialize = mpi4py.rc.finalize = False
    from mpi4py import MPI

    return MPI
