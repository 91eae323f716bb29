"""The wire format: headers have the documented layout, and everything else is refused."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import FINISH, SETUP
from common.transport.wire import (
    DTYPES,
    HEADER_BYTES,
    MAGIC,
    SEGMENT_BYTES,
    VERSION,
    Header,
    WireError,
    decode,
    dtype_code,
    encode,
    segment_offsets,
)

U16, U32, U64, I64 = (
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(-(2**63), 2**63 - 1),
)
PLAIN = Header(dtype=9, sender=3, job=0x1122334455667788, seq=5, after=9, step=12, bucket=2, length=400, offset=0)


@st.composite
def headers(draw):
    """Draw any header that a sender can write."""
    length = draw(st.one_of(U64, st.integers(0, 5 * SEGMENT_BYTES)))
    last = max(length - 1, 0) // SEGMENT_BYTES
    return Header(
        dtype=draw(st.integers(0, len(DTYPES) - 1)),
        sender=draw(U16),
        job=draw(U64),
        seq=draw(U64),
        after=draw(U64),
        step=draw(st.one_of(I64, st.sampled_from([SETUP, FINISH]))),
        bucket=draw(U32),
        length=length,
        offset=SEGMENT_BYTES * draw(st.integers(0, last)),
    )


def raw(**changes):
    """Return the bytes of PLAIN with some fields changed and the checksum that fits them."""
    fields = {"magic": MAGIC, "version": VERSION, **PLAIN._asdict(), **changes}
    body = struct.pack("<4sBBHQQQqIQQ", *fields.values())
    return body + struct.pack("<I", zlib.crc32(body))


@given(headers())
def test_decode_inverts_encode(header):
    assert decode(encode(header)) == header


@given(headers())
def test_every_header_has_the_documented_size(header):
    assert len(encode(header)) == HEADER_BYTES == 64


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (0, "4s", b"sync"),
        (4, "B", 3),
        (5, "B", PLAIN.dtype),
        (6, "<H", PLAIN.sender),
        (8, "<Q", PLAIN.job),
        (16, "<Q", PLAIN.seq),
        (24, "<Q", PLAIN.after),
        (32, "<q", PLAIN.step),
        (40, "<I", PLAIN.bucket),
        (44, "<Q", PLAIN.length),
        (52, "<Q", PLAIN.offset),
        (60, "<I", zlib.crc32(encode(PLAIN)[:60])),
    ],
)
def test_a_field_has_its_documented_offset(offset, layout, value):
    assert struct.unpack_from(layout, encode(PLAIN), offset) == (value,)


def test_setup_travels_as_a_negative_step():
    assert struct.unpack_from("<q", encode(PLAIN._replace(step=SETUP)), 32) == (SETUP,)


@given(headers(), st.integers(0, HEADER_BYTES - 1), st.integers(1, 255))
def test_a_header_with_one_changed_byte_is_refused(header, where, flip):
    data = bytearray(encode(header))
    data[where] ^= flip
    with pytest.raises(WireError):
        decode(bytes(data))


@given(st.binary(max_size=2 * HEADER_BYTES))
def test_garbage_is_refused(data):
    with pytest.raises(WireError):
        decode(data)


@pytest.mark.parametrize("size", [0, 1, HEADER_BYTES - 1, HEADER_BYTES + 1])
def test_a_header_of_another_size_is_refused(size):
    with pytest.raises(WireError, match=f"a header has 64 bytes, not {size}"):
        decode((encode(PLAIN) * 2)[:size])


def test_the_helper_raw_agrees_with_encode():
    assert raw() == encode(PLAIN)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"magic": b"http"}, "magic b'http' instead of b'sync'"),
        ({"version": 1}, "wire version 1 instead of 3"),
        ({"dtype": len(DTYPES)}, f"unknown dtype code {len(DTYPES)}"),
        ({"dtype": 255}, "unknown dtype code 255"),
        ({"offset": 4}, "offset 4 in a message of 400 bytes"),
        ({"offset": SEGMENT_BYTES}, f"offset {SEGMENT_BYTES} in a message of 400 bytes"),
        (
            {"offset": SEGMENT_BYTES, "length": SEGMENT_BYTES},
            f"offset {SEGMENT_BYTES} in a message of {SEGMENT_BYTES} bytes",
        ),
        ({"offset": SEGMENT_BYTES + 8, "length": 4 * SEGMENT_BYTES}, f"offset {SEGMENT_BYTES + 8} in"),
    ],
)
def test_an_impossible_value_is_refused_with_a_reason(changes, message):
    with pytest.raises(WireError, match=message):
        decode(raw(**changes))


def test_a_wrong_checksum_is_refused_with_a_reason():
    with pytest.raises(WireError, match="checksum"):
        decode(encode(PLAIN)[:-1] + b"\0")


@pytest.mark.parametrize(
    "nbytes", [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES, 3 * SEGMENT_BYTES + 7]
)
def test_all_segments_but_the_last_are_full_and_they_add_up(nbytes):
    payloads = [PLAIN._replace(length=nbytes, offset=offset).payload for offset in segment_offsets(nbytes)]
    assert sum(payloads) == nbytes
    assert all(size == SEGMENT_BYTES for size in payloads[:-1])
    assert len(payloads) == max(1, -(-nbytes // SEGMENT_BYTES))


@given(st.integers(0, 20 * SEGMENT_BYTES))
def test_the_header_of_every_segment_is_accepted(nbytes):
    for offset in segment_offsets(nbytes):
        decode(encode(PLAIN._replace(length=nbytes, offset=offset)))


@pytest.mark.parametrize("code", range(len(DTYPES)))
def test_the_code_of_a_dtype_is_its_index_in_the_table(code):
    assert dtype_code(DTYPES[code]) == code


def test_codes_do_not_change():
    names = "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64 bool"
    assert [dtype.name for dtype in DTYPES] == names.split()


def test_synonyms_of_a_dtype_have_one_code():
    assert dtype_code(np.dtype("longlong")) == dtype_code(np.dtype(np.int64))


@pytest.mark.parametrize("name", [">f4", "complex64", "O", "S5", "datetime64[s]", "f4,f4"])
def test_an_unsupported_dtype_is_refused_with_a_list_of_supported_ones(name):
    with pytest.raises(ValueError, match=r"cannot be sent; use one of .*float32"):
        dtype_code(np.dtype(name))


def test_the_text_of_a_header_describes_the_message():
    assert str(PLAIN) == "step 12, bucket 2, 400 bytes of float32 (segment 5)"
