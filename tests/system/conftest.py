import pytest

from system.leftovers import Box


@pytest.fixture
def box():
    """The command line in a world of its own; whatever the test did, nothing may be left there."""
    with Box() as box:
        yield box
