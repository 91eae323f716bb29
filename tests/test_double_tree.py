"""The two trees of `double-tree`: spanning, low, and complementary, for every number of ranks."""

import pytest

from allreduce.double_tree import DoubleTree, height, trees
from common.errors import ConfigError

every_n = pytest.mark.parametrize("n", range(1, 66))


def both(n):
    """For each of the two trees the nodes of all ranks."""
    return list(zip(*(trees(rank, n) for rank in range(n)), strict=True))


@every_n
def test_no_rank_is_an_inner_node_of_both_trees(n):
    assert not any(first.children and second.children for first, second in zip(*both(n), strict=True))


@every_n
def test_parents_and_children_agree(n):
    for nodes in both(n):
        links = {(rank, child) for rank, node in enumerate(nodes) for child in node.children}
        assert links == {(parent, rank) for rank, node in enumerate(nodes) for parent in node.parent}


@every_n
def test_a_tree_is_binary_and_its_links_lead_from_every_rank_to_one_root(n):
    for nodes in both(n):
        (root,) = [rank for rank, node in enumerate(nodes) if not node.parent]
        assert all(len(node.parent) == 1 for rank, node in enumerate(nodes) if rank != root)
        assert all(len(node.children) <= 2 for node in nodes)
        assert max(links_to(root, rank, nodes) for rank in range(n)) == height(n)


def links_to(root, rank, nodes):
    """Return the number of links up to the root; AssertionError for a loop."""
    for links in range(len(nodes)):
        if rank == root:
            return links
        (rank,) = nodes[rank].parent
    raise AssertionError(f"rank {rank} does not lead to the root {root}")


@pytest.mark.parametrize("n", [3, 4, 7, 8, 31, 32, 33])
def test_the_trees_have_different_roots(n):
    assert len({rank for nodes in both(n) for rank, node in enumerate(nodes) if not node.parent}) == 2


@pytest.mark.parametrize("chunks", [0, -1, 2.5, "4", True])
def test_an_impossible_number_of_chunks_is_refused(chunks):
    with pytest.raises(ConfigError, match=r"chunks is .*: give a whole number from 1"):
        DoubleTree(chunks)
