"""Other people's all-reduce, as baselines behind the same interface: gloo, DDP, NCCL, MPI. See docs/baselines.md.

They open their own connections, so nobody here can count their bytes, and they run on real processes only. torch and
mpi4py are imported when a rank needs them. Their errors say that a connection broke, not whose: `translated` asks.
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
from common.strategy import Bucket, SyncStrategy, Traits
from common.types import Array, Vector

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

    from common.models.flat import FlatModel
    from common.pipeline.load import Batch
    from common.pipeline.train import Train

TIMED_OUT = re.compile(r"timed? ?out", re.IGNORECASE)


@contextlib.contextmanager
def translated(ctx: Context, engine: str) -> Iterator[None]:
    """Turn the RuntimeErrors of `engine` into ours. A deadline that passed is DeadlineExceeded.

    After any other, the workers meet over our own transport, which knows who is missing: PeerFailed, within a
    deadline. If all come, the engine failed by itself: RunError.
    """
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if TIMED_OUT.search(reason):
            raise ctx.process.waited(engine) from error
        ctx.barrier()
        raise RunError(f"{engine}: {reason}", **ctx.place.fields()) from error


def join(ctx: Context, backend: str) -> ProcessGroup:
    """A process group of torch.distributed, of all workers, for the caller alone. Blocks.

    Its calls get the job's deadline. A process has one default group, which every other must have been made beside:
    the first to come makes that one, and uses it for nothing else.
    """
    import torch.distributed as dist

    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    os.environ[f"{backend.upper()}_SOCKET_IFNAME"] = ",".join(loopback)  # else it binds where the host's name points
    timeout = timedelta(seconds=ctx.process.deadline)
    with translated(ctx, backend):
        if not dist.is_initialized():
            store = ctx.process.store("torch.distributed")
            dist.init_process_group(backend, store=store, rank=ctx.rank, world_size=ctx.size, timeout=timeout)
        group: ProcessGroup = dist.new_group(backend=backend, timeout=timeout)
    ctx.process.groups += 1
    return group


def leave(ctx: Context, group: ProcessGroup) -> None:
    """Destroy what `join` gave, once everybody has left its last collective behind. Blocks.

    The last of a process to leave destroys the default group too.
    """
    import torch.distributed as dist

    ctx.barrier()
    dist.destroy_process_group(group)
    ctx.process.groups -= 1
    if not ctx.process.groups:
        dist.destroy_process_group()


class Gloo(AllReduce):
    """torch.distributed's all_reduce over gloo, on our flat gradient: what CPU clusters run."""

    traits = Traits(own_transport="gloo")

    def setup(self, ctx: Context, params: Vector) -> None:
        super().setup(ctx, params)
        self.group = join(ctx, "gloo")

    def all_reduce(self, ctx: Context, x: Array) -> None:
        import torch
        import torch.distributed as dist

        with translated(ctx, "gloo"):
            dist.all_reduce(torch.from_numpy(x), group=self.group)

    def finish(self, ctx: Context) -> None:
        leave(ctx, self.group)


class Ddp(SyncStrategy):
    """torch's DistributedDataParallel over gloo: averages during backward, so its communication hides in `train`.

    `bucket_cap_mb` is torch's: the size, in MiB, from which a bucket of gradients is sent while backward goes on.
    """

    traits = Traits(own_transport="gloo", synchronizes_in="train")

    def __init__(self, bucket_cap_mb: float = 25.0) -> None:
        given: Any = bucket_cap_mb
        if not (isinstance(given, int | float) and given > 0):
            raise ValueError(f"bucket_cap_mb is {bucket_cap_mb!r}: give a number above 0, in MiB")
        self.bucket_cap_mb = bucket_cap_mb

    def setup(self, ctx: Context, params: Vector) -> None:
        broadcast(ctx, params)
        ctx.settle()
        self.group = join(ctx, "gloo")

    def wrap(self, ctx: Context, model: FlatModel, train: Train) -> Train:
        """Put DDP around the module. It copies the averaged gradients back to where they were: our flat vector."""
        from torch.nn.parallel import DistributedDataParallel

        with translated(ctx, "gloo"):  # it compares the models of all workers
            model.forward = DistributedDataParallel(
                model.module,
                process_group=self.group,
                bucket_cap_mb=self.bucket_cap_mb,
                gradient_as_bucket_view=False,
            )

        def averaged(model: FlatModel, batch: Batch) -> float:
            with translated(ctx, "gloo"):
                return train(model, batch)

        return averaged

    def synchronize(self, ctx: Context, bucket: Bucket) -> None:
        """Do nothing: backward has left the mean gradient in the bucket."""

    def finish(self, ctx: Context) -> None:
        leave(ctx, self.group)


class Nccl(AllReduce):
    """NCCL's all-reduce between GPUs, with a copy of the gradient to the GPU and back; needs a GPU for each worker."""

    traits = Traits(own_transport="nccl")

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

        super().setup(ctx, params)
        os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"  # else its watchdog kills this process without a word
        torch.cuda.set_device(ctx.rank)
        self.group = join(ctx, "nccl")

    def all_reduce(self, ctx: Context, x: Array) -> None:
        import torch
        import torch.distributed as dist

        host = torch.from_numpy(x)
        with ctx.process.limit("nccl"), translated(ctx, "nccl"):
            device = host.to("cuda")
            dist.all_reduce(device, group=self.group)
            host.copy_(device)

    def finish(self, ctx: Context) -> None:
        leave(ctx, self.group)


class Mpi(AllReduce):
    """Open MPI's Allreduce through mpi4py, on our flat gradient; mpirun starts the ranks."""

    traits = Traits(own_transport="mpi", launcher="mpi")

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
        with ctx.process.limit("MPI_Init"), translated(ctx, "MPI_Init"):
            mpi = _mpi()
            mpi.Init_thread(mpi.THREAD_SERIALIZED)
        if (found := mpi.COMM_WORLD.size) != ctx.size:
            cause = f"mpi4py found {found} of {ctx.size} ranks: the libmpi that it loads is not that of mpirun"
            raise RunError(cause, **ctx.place.fields())

    def all_reduce(self, ctx: Context, x: Array) -> None:
        mpi = _mpi()
        with ctx.process.limit("MPI_Allreduce"), translated(ctx, "MPI_Allreduce"):
            mpi.COMM_WORLD.Allreduce(mpi.IN_PLACE, x)

    def finish(self, ctx: Context) -> None:
        with ctx.process.limit("MPI_Finalize"), translated(ctx, "MPI_Finalize"):
            _mpi().Finalize()


def _mpi() -> Any:
    """mpi4py's MPI module. Importing it neither starts MPI nor has it ended at exit, when nobody watches."""
    import mpi4py

    mpi4py.rc.initialize = mpi4py.rc.finalize = False
    from mpi4py import MPI

    return MPI
