"""The wire format: encode and decode headers, without I/O.

A *message* is one array. It travels as one or more *segments* of at most `SEGMENT_BYTES` bytes, each a header and a raw
payload, in order. Each header describes the whole message, so that each segment can be checked alone.

    offset  bytes  field
    0       4      magic   b"sync"
    4       1      version
    5       1      dtype   code in DTYPES
    6       2      sender  rank
    8       8      job     random id of the job: messages of other jobs are dropped
    16      8      seq     number of this segment on its way between this pair of ranks, from 0: a gap is a loss
    24      8      after   number of segments that went the other way before it
    32      8      step    signed; SETUP and FINISH are negative
    40      4      bucket
    44      8      length  bytes of the whole message
    52      8      offset  of this segment's payload in the message
    60      4      crc     CRC-32 of the 60 bytes before

Two ranks are connected by two *ways*: ZeroMQ, and a stream on which a message is one segment of any size. Each way
keeps its order, and `after` restores the order of the two together (sockets/channel.py). All integers are
little-endian. The receiver compares sizes with those that it expects and allocates nothing from them.
"""

import struct
import zlib
from typing import NamedTuple

import numpy as np

from common.errors import step_name

MAGIC = b"sync"
VERSION = 3
SEGMENT_BYTES = 4 << 20
DTYPES: tuple[np.dtype, ...] = tuple(
    np.dtype(name) for name in ("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8", "?")
)
_CODES = {dtype: code for code, dtype in enumerate(DTYPES)}
_BODY = struct.Struct("<4sBBHQQQqIQQ")
_CRC = struct.Struct("<I")
HEADER_BYTES = _BODY.size + _CRC.size


class WireError(ValueError):
    """Bytes that are no header of this format. The text says why."""


class Header(NamedTuple):
    """The decoded header of one segment."""

    dtype: int
    sender: int
    job: int
    seq: int
    after: int
    step: int
    bucket: int
    length: int
    offset: int

    @property
    def payload(self) -> int:
        """The bytes of payload that follow over ZeroMQ."""
        return min(SEGMENT_BYTES, self.length - self.offset)

    def __str__(self) -> str:
        name = DTYPES[self.dtype].name
        return f"{step_name(self.step)}, bucket {self.bucket}, {self.length} bytes of {name} (segment {self.seq})"


def dtype_code(dtype: np.dtype) -> int:
    """Return the code of a dtype. ValueError if arrays of it cannot be sent."""
    try:
        return _CODES[dtype]
    except KeyError:
        raise ValueError(f"arrays of dtype {dtype} cannot be sent; use one of {', '.join(map(str, DTYPES))}") from None


def encode(header: Header | tuple[int, ...]) -> bytes:
    """Return the bytes of a header."""
    body = _BODY.pack(MAGIC, VERSION, *header)
    return body + _CRC.pack(zlib.crc32(body))


def decode(raw: bytes) -> Header:
    """Return the header in `raw`. WireError if it is wrong whatever the receiver expects."""
    if len(raw) != HEADER_BYTES:
        raise WireError(f"a header has {HEADER_BYTES} bytes, not {len(raw)}")
    magic, version, *fields = _BODY.unpack_from(raw)
    if magic != MAGIC:
        raise WireError(f"magic {magic!r} instead of {MAGIC!r}")
    if version != VERSION:
        raise WireError(f"wire version {version} instead of {VERSION}: all ranks must run the same syncbench")
    if _CRC.unpack_from(raw, _BODY.size)[0] != zlib.crc32(raw[: _BODY.size]):
        raise WireError("checksum of the header does not match")
    header = Header._make(fields)
    if header.dtype >= len(DTYPES):
        raise WireError(f"unknown dtype code {header.dtype}")
    if header.offset % SEGMENT_BYTES or header.offset > header.length or (header.offset and not header.payload):
        raise WireError(f"offset {header.offset} in a message of {header.length} bytes")
    return header


def segment_offsets(nbytes: int) -> range:
    """Return the offsets of the segments of a message of `nbytes`. An empty message has one empty segment."""
    return range(0, max(nbytes, 1), SEGMENT_BYTES)
