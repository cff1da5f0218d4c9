"""Who counts as a listener that was waited for."""

import pytest

from streamer.clock import Instant
from streamer.effects import Finish
from streamer.messages import Subscription
from streamer.source.wait_for_subscribers import WaitForSubscribers

NOW = Instant(0, 0)


@pytest.mark.parametrize(
    ("prefix", "counts"),
    [
        (b"", True),
        (b"est", True),
        (b"estimate/", True),
        (b"estimate/demo/", True),
        (b"status/", False),
        (b"estimates/", False),
    ],
)
def test_who_hears_any_of_it_counts(prefix: bytes, counts: bool) -> None:
    core = WaitForSubscribers(b"estimate/", 1)
    finished = any(isinstance(e, Finish) for e in core.receive([Subscription(prefix, active=True)], NOW))
    assert finished is core.satisfied is counts


def test_who_leaves_is_waited_for_again() -> None:
    core = WaitForSubscribers(b"estimate/", 2)
    for active in (True, False, True):
        assert not list(core.receive([Subscription(b"", active=active)], NOW))
    assert [type(e) for e in core.receive([Subscription(b"", active=True)], NOW)] == [Finish]
