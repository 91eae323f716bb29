"""The ledger tells apart what was trained on different samples, and nothing else."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.records.ledger import Ledger, digest, ledger_sha256

INDICES = st.lists(st.integers(0, 2**40), max_size=20)
ENTRIES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.sampled_from("ab")), max_size=20, unique=True)


def test_a_digest_is_the_hash_of_the_indices_as_64_bit_integers():
    expected = hashlib.blake2b(bytes([3, *[0] * 7, 0, 1, *[0] * 6]), digest_size=16).hexdigest()
    assert digest(np.array([3, 256])) == expected
    assert len(expected) == 32


@given(INDICES, INDICES)
def test_digests_are_equal_for_equal_indices_alone(some, others):
    same = digest(np.array(some, np.int64)) == digest(np.array(others, np.int64))
    assert same == (some == others)


def test_a_digest_depends_on_the_order():
    assert digest(np.array([1, 2])) != digest(np.array([2, 1]))


def test_a_digest_does_not_depend_on_how_the_indices_lie_in_memory():
    indices = np.arange(20)
    assert digest(indices[::2]) == digest(indices[::2].copy())
    assert digest(indices.astype(">i8")) == digest(indices.astype(np.int32)) == digest(indices)


def test_a_ledger_is_the_hash_of_its_lines_by_step_and_worker():
    lines = b"0 0 aa\n0 1 bb\n1 0 cc\n2 0 ee\n10 0 dd\n"
    entries = [(10, 0, "dd"), (0, 1, "bb"), (2, 0, "ee"), (1, 0, "cc"), (0, 0, "aa")]
    assert ledger_sha256(entries) == hashlib.sha256(lines).hexdigest()


@given(ENTRIES, st.randoms())
def test_a_ledger_does_not_depend_on_the_order_in_which_entries_come(entries, random):
    shuffled = random.sample(entries, len(entries))
    assert ledger_sha256(iter(shuffled)) == ledger_sha256(entries)


@given(ENTRIES, ENTRIES)
def test_ledgers_are_equal_for_equal_entries_alone(some, others):
    assert (ledger_sha256(some) == ledger_sha256(others)) == (sorted(some) == sorted(others))


@given(ENTRIES)
def test_a_ledger_may_be_added_up_entry_by_entry(entries):
    ledger = Ledger()
    for entry in sorted(entries):
        ledger.add(*entry)
    assert ledger.hexdigest() == ledger_sha256(entries)
