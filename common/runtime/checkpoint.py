"""Checkpoints: what a server needs to come back, in files that are whole or are noticed not to be.

    magic    b"syncbench checkpoint 1\\n"
    header   one line of JSON: job, rank, version, names of the arrays in order, whatever else is worth knowing
    arrays   one after the other, in NumPy's own format (.npy), without pickle
    crc      CRC-32 of all bytes before, 4 bytes, little-endian

A file gets its name only when it is whole and on the disk, so whoever is killed in between leaves the one before.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
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


class Damaged(Exception):
    """This file is no whole checkpoint of that rank and job; the message says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file held: the state at `version` steps, and the notes that its writer added."""

    version: int
    arrays: dict[str, Array]
    notes: dict[str, Any]


class Checkpoints:
    """The checkpoints of one rank in `folder`, which is made with the first of them: the last `kept` versions.

    Servers of a synchronous job are one step apart at most, so that of two versions each, `every` steps apart, one
    is common to all of them; of versions one step apart it takes three.
    """

    def __init__(
        self,
        folder: Path,
        every: int,
        place: Place,
        job: int,
        notes: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """`every` how many steps the owner is to save; `notes` is asked at each save for JSON values by name."""
        self.folder, self.every, self.kept = folder, every, 2 if every > 1 else 3
        self._place, self._job, self._notes = place, job, notes
        self._live: Callable[[], State] | None = None
        self._start: State | None = None

    def save(self, version: int, arrays: State) -> None:
        """Write `arrays`, the state after `version` steps; blocks until it is on the disk. Older ones are removed.

        RunError if the disk is full, say; then the checkpoints before are still there. ValueError for an array of
        Python objects.
        """
        names = list(arrays)
        header = {"job": self._job, "rank": self._place.rank, "version": version, "names": names}
        part = self.folder / f"{version}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with open(part, "wb") as file:
                    _write(file, {**self._notes(), **header}, [arrays[name] for name in names])
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(part, self.folder / f"{version}{SUFFIX}")
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            _sync_folder(self.folder)
            for old in versions(self.folder)[: -self.kept]:
                (self.folder / f"{old}{SUFFIX}").unlink()
        except OSError as error:
            reason = error.strerror or "only a part of it fits"  # NumPy's own words, without a number, name no cause
            raise RunError(f"a checkpoint cannot be written: {reason}", **self._place.fields()) from None

    def load(self, version: int | None = None) -> Checkpoint:
        """The state at `version`; by default the newest that is whole. RunError if there is none."""
        wanted = versions(self.folder)[::-1] if version is None else [version]
        complaints = []
        for each in wanted:
            try:
                return read(self.folder / f"{each}{SUFFIX}", self._job, self._place.rank)
            except Damaged as damage:
                complaints.append(str(damage))
        cause = "; ".join(complaints) or f"there is none in {self.folder}"
        raise RunError(f"no checkpoint to come back with: {cause}", **self._place.fields())

    def remove_after(self, version: int) -> None:
        """Remove those of later versions: what all go back to will have others. RunError."""
        try:
            for later in versions(self.folder):
                if later > version:
                    (self.folder / f"{later}{SUFFIX}").unlink()
        except OSError as error:
            cause = f"a checkpoint cannot be removed: {error.strerror}"
            raise RunError(cause, **self._place.fields()) from None

    def start_from(self, state: State) -> None:
        """Let `take` give `state`, once."""
        self._start = state

    def take(self) -> State:
        """The state to go on from, where the job has `resumed`. It is not kept: it can be as large as the shard."""
        state, self._start = self._start, None
        if state is None:
            raise ValueError("there is no state to go on from: the job has not resumed, or it was taken")
        return state

    def keep(self, live: Callable[[], State]) -> None:
        """Let `carried` find the state that `live` gives, at any moment between two messages, until told otherwise."""
        self._live = live

    def carried(self) -> dict[str, Array] | None:
        """A copy of the state as it is now, in memory of its own; None if its owner keeps nothing for that."""
        return None if self._live is None else {name: array.copy() for name, array in self._live().items()}


def versions(folder: Path) -> list[int]:
    """The versions that have a file in `folder`, oldest first, whole or not."""
    found = [path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")]
    return sorted(int(name) for name in found if name.isdecimal())


def whole_versions(folder: Path, job: int, rank: int) -> tuple[list[int], list[str]]:
    """The versions of which `folder` has a whole file, oldest first, and what is wrong with the others, a line each."""
    good, damages = [], []
    for version in versions(folder):
        try:
            with _verified(folder / f"{version}{SUFFIX}", job, rank):
                good.append(version)
        except Damaged as damage:
            damages.append(str(damage))
    return good, damages


def read(path: Path, job: int, rank: int) -> Checkpoint:
    """The checkpoint in `path`. Damaged if it is not whole, or of another job or rank."""
    with _verified(path, job, rank) as (file, header):
        names = header.pop("names")
        try:
            arrays = {name: np.lib.format.read_array(file, allow_pickle=False) for name in names}
        except (OSError, ValueError) as error:
            raise Damaged(f"{path.name}: {error}") from None
    return Checkpoint(header.pop("version"), arrays, header)


class _Summed:
    """A file that keeps the CRC-32 of what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.crc = file, 0

    def write(self, data: bytes) -> int:
        self.crc = zlib.crc32(data, self.crc)
        return self._file.write(data)


def _write(file: BinaryIO, header: Mapping[str, Any], arrays: list[Array]) -> None:
    summed = _Summed(file)
    summed.write(MAGIC)
    summed.write(json.dumps(header).encode() + b"\n")
    for array in arrays:
        np.lib.format.write_array(summed, np.asanyarray(array), allow_pickle=False)
    file.write(summed.crc.to_bytes(CRC_BYTES, "little"))


@contextlib.contextmanager
def _verified(path: Path, job: int, rank: int) -> Iterator[tuple[BinaryIO, dict[str, Any]]]:
    """The file, open where its arrays begin, and its header, if all of it is as it was written."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise Damaged(f"{path.name}: {error.strerror}") from None
    with file:
        _check_sum(path, file)
        file.seek(len(MAGIC))
        header = json.loads(file.readline(HEADER_LIMIT))
        if (header["job"], header["rank"]) != (job, rank):
            raise Damaged(f"{path.name} is of another job or rank")
        yield file, header


def _check_sum(path: Path, file: BinaryIO) -> None:
    left = os.fstat(file.fileno()).st_size - CRC_BYTES
    crc = 0
    try:
        if file.read(len(MAGIC)) != MAGIC:
            raise Damaged(f"{path.name} is no checkpoint")
        file.seek(0)
        while left > 0 and (data := file.read(min(left, BLOCK))):
            crc = zlib.crc32(data, crc)
            left -= len(data)
        if file.read() != crc.to_bytes(CRC_BYTES, "little"):
            raise Damaged(f"{path.name} is damaged: its checksum does not match")
    except OSError as error:
        raise Damaged(f"{path.name}: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Put the names in `folder` on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
