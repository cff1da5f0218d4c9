"""Slow readers are counted, and spoken of now and then."""

from streamer.clock import Instant
from streamer.effects import Say
from streamer.messages import SlowReader
from streamer.transport.slow_readers import SAY_EVERY_NS, SlowReaders


def test_all_are_counted_and_said_together_every_ten_seconds() -> None:
    slow = SlowReaders()
    assert not list(slow.say(Instant(mono_ns=0, wall_ns=0)))
    slow.take(SlowReader("one"))
    assert [
        effect.text.split(";")[0] for effect in slow.say(Instant(mono_ns=1, wall_ns=1)) if isinstance(effect, Say)
    ] == ["1 slow reader(s)"]
    slow.take(SlowReader("two"))
    slow.take(SlowReader("three"))
    assert not list(slow.say(Instant(mono_ns=2, wall_ns=2)))
    (said,) = slow.say(Instant(mono_ns=1 + SAY_EVERY_NS, wall_ns=0))
    assert isinstance(said, Say)
    assert said.text.startswith("2 slow reader(s); the last: three; ")
    assert "--memory" in said.text
    assert slow.count == 3
    assert not list(slow.say(Instant(mono_ns=10 * SAY_EVERY_NS, wall_ns=0)))
