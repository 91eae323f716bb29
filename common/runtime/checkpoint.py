"""Checkpoints: the state from which a restarted server goes on, in files whose damage is noticed.

    magic    b"syncbench checkpoint 1\\n"
    header   one line of JSON: job, rank, version, names of the arrays in order, notes
    arrays   one after the other, in NumPy's own format (.npy), without pickle
    crc      CRC-32 of all bytes before, 4 bytes, little-endian

A file gets its name only when it is complete and on the disk. A writer that is killed earlier leaves the previous file.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from common.errors import RunError
from common.place import Place
from common.types import Array

MAGIC = b"syncbench checkpoint 1\n"
SUFFIX = ".checkpoint"
CRC_BYTES = 4
BLOCK = 1 << 20  # bytes read at a time to verify a file
HEADER_LIMIT = 1 << 20  # bytes

State = Mapping[str, Array]


class DamagedCheckpoint(Exception):
    """The file is no complete checkpoint of this rank and job. The text says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of a file: the state after `version` steps, and the notes of its writer."""

    version: int
    arrays: dict[str, Array]
    notes: dict[str, Any]


class Checkpoints:
    """The last `kept` checkpoints of one rank in `folder`, which the first `save` makes.

    The servers of a synchronous job are at most one step apart. If each keeps two versions `every` steps apart, one
    version is common to all of them. Of versions one step apart, each must keep three.
    """

    def __init__(
        self, folder: Path, every: int, place: Place, job: int, notes: Callable[[], Mapping[str, Any]] = dict
    ) -> None:
        """`every`: the steps between two saves. Each save calls `notes` for further JSON values by name."""
        self.folder, self.every, self.kept = folder, every, 2 if every > 1 else 3
        self._place, self._job, self._notes = place, job, notes
        self.live_state: Callable[[], State] | None = None  # what `snapshot` calls, at any moment between two messages
        self.restored: State | None = None  # what the next `take_restored` returns

    def save(self, version: int, arrays: State) -> None:
        """Write `arrays`, the state after `version` steps, and remove old versions. Blocks until it is on the disk.

        RunError if the file cannot be written; earlier checkpoints remain. ValueError for an array of Python objects.
        """
        header = {"job": self._job, "rank": self._place.rank, "version": version, "names": list(arrays)}
        part = self.folder / f"{version}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with open(part, "wb") as file:
                    _write(file, {**self._notes(), **header}, arrays.values())
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(part, self.folder / f"{version}{SUFFIX}")
            finally:
                part.unlink(missing_ok=True)
            _sync_folder(self.folder)
            for old in versions(self.folder)[: -self.kept]:
                (self.folder / f"{old}{SUFFIX}").unlink()
        except OSError as error:
            reason = error.strerror or "only a part of it fits"  # NumPy's own OSError has no number and names no cause
            raise RunError(f"a checkpoint cannot be written: {reason}", **self._place.fields()) from None

    def load(self, version: int | None = None) -> Checkpoint:
        """Return the checkpoint of `version`, by default the newest intact one. RunError if there is none."""
        complaints = []
        for candidate in versions(self.folder)[::-1] if version is None else [version]:
            try:
                return _read(self.folder / f"{candidate}{SUFFIX}", self._job, self._place.rank)
            except DamagedCheckpoint as damage:
                complaints.append(str(damage))
        cause = "; ".join(complaints) or f"there is none in {self.folder}"
        raise RunError(f"no checkpoint to come back with: {cause}", **self._place.fields())

    def remove_after(self, version: int) -> None:
        """Remove the checkpoints of later versions, since all ranks go back to `version`. RunError."""
        try:
            for later in versions(self.folder):
                if later > version:
                    (self.folder / f"{later}{SUFFIX}").unlink()
        except OSError as error:
            cause = f"a checkpoint cannot be removed: {error.strerror}"
            raise RunError(cause, **self._place.fields()) from None

    def take_restored(self) -> State:
        """Return the state from which a resumed job goes on, and forget it: it can be as large as the shard."""
        state, self.restored = self.restored, None
        if state is None:
            raise ValueError("there is no state to go on from: the job has not resumed, or it was taken")
        return state

    def snapshot(self) -> dict[str, Array] | None:
        """Return a copy of the state as it is now, or None without a `live_state`."""
        return None if self.live_state is None else {name: array.copy() for name, array in self.live_state().items()}


def versions(folder: Path) -> list[int]:
    """Return the versions that have a file in `folder`, oldest first, intact or not."""
    found = [path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")]
    return sorted(int(name) for name in found if name.isdecimal())


def intact_versions(folder: Path, job: int, rank: int) -> tuple[list[int], list[str]]:
    """Return the versions with an intact file in `folder`, oldest first, and a line for each damaged file."""
    intact, damages = [], []
    for version in versions(folder):
        try:
            with _verified(folder / f"{version}{SUFFIX}", job, rank):
                intact.append(version)
        except DamagedCheckpoint as damage:
            damages.append(str(damage))
    return intact, damages


def _read(path: Path, job: int, rank: int) -> Checkpoint:
    with _verified(path, job, rank) as (file, header):
        try:
            arrays = {name: np.lib.format.read_array(file, allow_pickle=False) for name in header.pop("names")}
        except ValueError as error:
            raise DamagedCheckpoint(f"{path.name}: {error}") from None
    return Checkpoint(header.pop("version"), arrays, header)


class _ChecksummedFile:
    """A file with the CRC-32 of all bytes written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.crc = file, 0

    def write(self, data: bytes) -> int:
        self.crc = zlib.crc32(data, self.crc)
        return self._file.write(data)


def _write(file: BinaryIO, header: Mapping[str, Any], arrays: Iterable[Array]) -> None:
    checksummed = _ChecksummedFile(file)
    checksummed.write(MAGIC + json.dumps(header).encode() + b"\n")
    for array in arrays:
        np.lib.format.write_array(checksummed, np.asanyarray(array), allow_pickle=False)
    file.write(checksummed.crc.to_bytes(CRC_BYTES, "little"))


@contextlib.contextmanager
def _verified(path: Path, job: int, rank: int) -> Iterator[tuple[BinaryIO, dict[str, Any]]]:
    """Check the whole file; give the file, open where its arrays begin, and its header. DamagedCheckpoint."""
    try:
        with open(path, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise DamagedCheckpoint(f"{path.name} is no checkpoint")
            file.seek(0)
            left, crc = os.fstat(file.fileno()).st_size - CRC_BYTES, 0
            while left > 0 and (data := file.read(min(left, BLOCK))):
                crc = zlib.crc32(data, crc)
                left -= len(data)
            if file.read() != crc.to_bytes(CRC_BYTES, "little"):
                raise DamagedCheckpoint(f"{path.name} is damaged: its checksum does not match")
            file.seek(len(MAGIC))
            header = json.loads(file.readline(HEADER_LIMIT))
            if (header["job"], header["rank"]) != (job, rank):
                raise DamagedCheckpoint(f"{path.name} is of another job or rank")
            yield file, header
    except OSError as error:
        raise DamagedCheckpoint(f"{path.name}: {error.strerror or error}") from None


def _sync_folder(folder: Path) -> None:
    """Write the file names in `folder` to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
