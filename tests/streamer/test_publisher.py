"""The source's core on a fake clock: simulated hours, stalls, listeners, late targets."""

from collections.abc import Sequence

import numpy as np
import pytest

from streamer import wire
from streamer.clock import Instant
from streamer.effects import Effect, Finish, Say, Send
from streamer.errors import UsageError
from streamer.messages import FIELDS, Chunk, Info, Kind, Subscription
from streamer.publisher import CHUNKS_PER_TICK, Publisher, SourceConfig
from streamer.signals import Signal

START_NS = 77_000_000_000
WALL_NS = 1_754_000_000_000_000_000
SECOND_NS = 1_000_000_000
RUN = 0xABC


def at(seconds: float) -> Instant:
    """So long after the start."""
    return Instant(START_NS + round(seconds * SECOND_NS), WALL_NS + round(seconds * SECOND_NS))


def instant(mono_ns: int) -> Instant:
    return Instant(mono_ns, mono_ns - START_NS + WALL_NS)


def publisher(config: SourceConfig | None = None, *, rate_hz: float = 100.0, channels: int = 1) -> Publisher:
    return Publisher(config or SourceConfig(), Signal(rate_hz=rate_hz, channels=channels), RUN)


def said(effects: Sequence[Effect], kind: Kind) -> list[Chunk]:
    """The chunks of a kind among what was sent."""
    sent = [effect.message for effect in effects if isinstance(effect, Send)]
    return [message for message in sent if isinstance(message, Chunk) and message.kind is kind]


def infos(effects: Sequence[Effect]) -> list[Info]:
    sent = [effect.message for effect in effects if isinstance(effect, Send)]
    return [message for message in sent if isinstance(message, Info)]


def run_until_finished(core: Publisher, now: Instant, *, late_ns: int = 0) -> list[Effect]:
    """Call the core at its deadlines, each time late by `late_ns`, until it finishes; then stop it."""
    effects = list(core.tick(now))
    while Finish() not in effects:
        deadline_ns = core.next_deadline_ns()
        assert deadline_ns is not None
        now = instant(max(now.mono_ns, deadline_ns) + late_ns)
        effects += core.tick(now)
    return effects + list(core.stop(now))


def covered(chunks: Sequence[Chunk]) -> list[int]:
    """Every seq in the chunks, as said."""
    return [seq for chunk in chunks for seq in range(chunk.seq, chunk.end_seq)]


def listener(topic: bytes = b"input/", *, active: bool = True) -> Subscription:
    return Subscription(topic, active)


def test_an_hour_at_1_khz_has_no_drift() -> None:
    core = publisher(SourceConfig(chunk=100_000, targets=False), rate_hz=1000.0)
    effects = list(core.tick(at(0)))
    for minute in range(1, 61):
        effects += core.tick(at(60 * minute))
    chunks = said(effects, Kind.INPUT)
    assert covered(chunks) == list(range(3_600_000))
    for chunk in chunks:
        assert chunk.time_ns == WALL_NS + chunk.seq * 1_000_000
    # The next chunk is due when its last sample is, counted from the start and not from the last tick.
    core.tick(at(3600))
    assert core.next_deadline_ns() == START_NS + 3_600 * SECOND_NS + SECOND_NS


def test_late_ticks_do_not_move_later_deadlines() -> None:
    core = publisher(rate_hz=1000.0)
    list(core.tick(at(0)))
    for seq in range(1, 500):
        assert core.next_deadline_ns() == at(seq / 1000).mono_ns
        effects = list(core.tick(at(seq / 1000 + 0.0004)))
        assert covered(said(effects, Kind.INPUT)) == [seq]
    assert core.lateness.quantile(0.5) == pytest.approx(0.0004)


def test_after_a_stall_everything_comes_at_once_with_its_own_time() -> None:
    core = publisher(SourceConfig(chunk=2), rate_hz=100.0)
    list(core.tick(at(0)))
    effects = list(core.tick(at(0.5)))
    chunks = said(effects, Kind.INPUT)
    assert covered(chunks) == list(range(50))
    assert [chunk.time_ns for chunk in chunks] == [at(seq / 100).wall_ns for seq in range(0, 50, 2)]
    assert core.lateness.largest == pytest.approx(0.49)


def test_a_burst_is_cut_so_that_listeners_are_heard() -> None:
    core = publisher(rate_hz=1000.0)
    list(core.tick(at(0)))
    assert len(said(list(core.tick(at(60))), Kind.INPUT)) == CHUNKS_PER_TICK
    deadline_ns = core.next_deadline_ns()
    assert deadline_ns is not None
    assert deadline_ns < at(60).mono_ns


def test_a_chunk_is_said_when_its_last_sample_is_due() -> None:
    core = publisher(SourceConfig(chunk=10))
    assert said(list(core.tick(at(0))), Kind.INPUT) == []
    assert core.next_deadline_ns() == at(0.09).mono_ns
    assert said(list(core.tick(at(0.0899))), Kind.INPUT) == []
    (chunk,) = said(list(core.tick(at(0.09))), Kind.INPUT)
    assert (chunk.seq, chunk.end_seq, chunk.time_ns, chunk.rate_hz) == (0, 10, WALL_NS, 100.0)


def test_values_are_the_signals() -> None:
    core = publisher(SourceConfig(chunk=7, count=20, target_delay_samples=3), channels=2)
    effects = run_until_finished(core, at(0))
    inputs, targets = Signal(channels=2).samples(0, 20)
    for kind, values in ((Kind.INPUT, inputs), (Kind.TARGET, targets)):
        chunks = said(effects, kind)
        assert covered(chunks) == list(range(20))
        np.testing.assert_array_equal(np.concatenate([chunk.values for chunk in chunks]), values)
        assert {(chunk.run, chunk.stream) for chunk in chunks} == {(RUN, "demo")}


def test_a_count_that_is_no_multiple_of_the_chunk_ends_in_a_short_one() -> None:
    effects = run_until_finished(publisher(SourceConfig(chunk=8, count=20)), at(0))
    assert [len(chunk.values) for chunk in said(effects, Kind.INPUT)] == [8, 8, 4]
    assert effects.count(Finish()) == 1


def test_a_count_of_nothing_finishes_at_once() -> None:
    effects = run_until_finished(publisher(SourceConfig(count=0)), at(0))
    assert said(effects, Kind.INPUT) == said(effects, Kind.TARGET) == []
    assert infos(effects)[-1].ended


def test_it_waits_for_as_many_listeners_as_asked() -> None:
    core = publisher(SourceConfig(wait_for=2))
    assert said(list(core.tick(at(0))), Kind.INPUT) == []
    assert said(list(core.receive([listener()], at(1))), Kind.INPUT) == []
    effects = list(core.receive([listener(b"input/demo/")], at(5)))
    (first,) = said(effects, Kind.INPUT)
    assert (first.seq, first.time_ns) == (0, at(5).wall_ns)
    assert core.next_deadline_ns() == at(5.01).mono_ns


@pytest.mark.parametrize("prefix", [b"", b"i", b"input/", b"input/demo/"])
def test_whoever_hears_the_inputs_is_a_listener(prefix: bytes) -> None:
    core = publisher(SourceConfig(wait_for=1))
    list(core.tick(at(0)))
    assert said(list(core.receive([listener(prefix)], at(1))), Kind.INPUT)


@pytest.mark.parametrize("prefix", [b"info/", b"input/other/", b"input/demo/x", b"\xff", b"x" * 1000])
def test_whoever_hears_something_else_is_not(prefix: bytes) -> None:
    core = publisher(SourceConfig(wait_for=1))
    list(core.tick(at(0)))
    assert not said(list(core.receive([listener(prefix)], at(1))), Kind.INPUT)


def test_a_listener_that_leaves_is_not_waited_with() -> None:
    core = publisher(SourceConfig(wait_for=2))
    list(core.receive([listener(), listener(active=False), listener()], at(0)))
    assert not said(list(core.tick(at(1))), Kind.INPUT)
    assert said(list(core.receive([listener()], at(2))), Kind.INPUT)


def test_a_peer_that_gives_up_what_it_never_asked_for_keeps_nobody_waiting() -> None:
    core = publisher(SourceConfig(wait_for=1))
    list(core.receive([listener(active=False)] * 5, at(0)))
    assert said(list(core.receive([listener()], at(1))), Kind.INPUT)


def test_once_begun_it_does_not_wait_again() -> None:
    core = publisher(SourceConfig(wait_for=1))
    list(core.receive([listener()], at(0)))
    list(core.receive([listener(active=False)], at(0.001)))
    assert covered(said(list(core.tick(at(0.01))), Kind.INPUT)) == [1]


@pytest.mark.parametrize(("delay", "chunk"), [(0, 1), (3, 1), (3, 5), (12, 5), (500, 5), (10**12, 1)])
def test_each_target_comes_once_and_as_late_as_asked(delay: int, chunk: int) -> None:
    core = publisher(SourceConfig(chunk=chunk, count=100, target_delay_samples=delay))
    effects = run_until_finished(core, at(0))
    next_input = next_target = 0
    for effect in effects[: effects.index(Finish())]:
        message = effect.message if isinstance(effect, Send) else None
        if isinstance(message, Chunk) and message.kind is Kind.INPUT:
            next_input = message.end_seq
        elif isinstance(message, Chunk):
            next_target = message.end_seq
            assert next_target == next_input - delay
    assert next_target == max(0, 100 - delay)
    assert covered(said(effects, Kind.TARGET)) == list(range(100))


def test_targets_are_not_said_where_they_are_not_wanted() -> None:
    effects = run_until_finished(publisher(SourceConfig(count=10, targets=False)), at(0))
    assert said(effects, Kind.TARGET) == []
    assert {info.target_fields for info in infos(effects)} == {()}


def test_targets_left_at_the_end_come_in_messages_within_the_limit() -> None:
    channels = 65_536
    core = publisher(SourceConfig(count=40, target_delay_samples=40), channels=channels)
    targets = said(run_until_finished(core, at(0)), Kind.TARGET)
    assert covered(targets) == list(range(40))
    assert max(chunk.values.nbytes for chunk in targets) == wire.MAX_PAYLOAD_BYTES


def test_stopped_early_it_says_the_targets_of_what_it_said() -> None:
    core = publisher(SourceConfig(target_delay_samples=7))
    effects = [*core.tick(at(0)), *core.tick(at(0.2)), *core.stop(at(0.2))]
    assert covered(said(effects, Kind.TARGET)) == covered(said(effects, Kind.INPUT)) == list(range(21))


def test_stopped_while_waiting_it_says_only_that_it_ended() -> None:
    core = publisher(SourceConfig(wait_for=1, target_delay_samples=7))
    list(core.tick(at(0)))
    effects = list(core.stop(at(1)))
    assert [effect.message for effect in effects if isinstance(effect, Send)] == infos(effects)
    assert infos(effects)[0].ended
    assert "published 0 samples" in "".join(effect.text for effect in effects if isinstance(effect, Say))


def test_info_comes_each_second_even_while_waiting() -> None:
    core = publisher(SourceConfig(wait_for=1))
    now, count = at(0), 0
    while now.mono_ns < at(10.5).mono_ns:
        count += len(infos(list(core.tick(now))))
        deadline_ns = core.next_deadline_ns()
        assert deadline_ns is not None
        now = instant(deadline_ns)
    assert count == 11


def test_info_comes_at_each_subscription_that_can_hear_it() -> None:
    core = publisher()
    list(core.tick(at(0)))
    assert len(infos(list(core.receive([listener(b"info/"), listener(b"")], at(0.001))))) == 1
    assert infos(list(core.receive([listener(b"input/")], at(0.002)))) == []
    assert infos(list(core.receive([listener(b"info/demo/", active=False)], at(0.003)))) == []
    assert infos(list(core.receive([listener(b"info/other/")], at(0.004)))) == []


def test_info_says_what_the_stream_is() -> None:
    core = publisher(SourceConfig("abc", target_delay_samples=4), rate_hz=50.0, channels=3)
    list(core.tick(at(0)))
    (info,) = infos(list(core.receive([listener(b"info/")], at(0.001))))
    assert info == Info("abc", RUN, 1, at(0.001).wall_ns, 50.0, ("0", "1", "2"), FIELDS, 4, False, 0.0)


def test_the_last_info_has_ended_and_counts_every_sample() -> None:
    effects = run_until_finished(publisher(SourceConfig(chunk=7, count=20)), at(0))
    *earlier, last = infos(effects)
    assert (last.ended, last.next_seq) == (True, 20)
    assert not any(info.ended for info in earlier)
    (words,) = [effect.text for effect in effects if isinstance(effect, Say)]
    assert "published 20 samples of run 0000000000000abc; late by p50 0.00" in words


def test_unpaced_it_says_all_it_may_at_each_tick_and_measures_no_lateness() -> None:
    core = publisher(SourceConfig(chunk=10, count=1000, paced=False))
    chunks = said(list(core.tick(at(0))), Kind.INPUT)
    assert len(chunks) == CHUNKS_PER_TICK
    assert core.next_deadline_ns() == 0
    effects = run_until_finished(core, at(3))
    assert covered(chunks + said(effects, Kind.INPUT)) == list(range(1000))
    assert {chunk.sample_time_ns(9) for chunk in said(effects, Kind.INPUT)} == {at(3).wall_ns}
    assert infos(effects)[-1].lateness_p99_s is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("stream", bad) for bad in ("", "a/b", "é", "-a", "a b", "a" * 65, "a\n")],
        *[("chunk", bad) for bad in (0, -1, 2**64)],
        *[("count", bad) for bad in (-1, 2**63)],
        ("target_delay_samples", -1),
        ("wait_for", -1),
    ],
)
def test_what_cannot_be_published_is_named(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{name}: must .*got "):
        SourceConfig(**{name: value})  # type: ignore[arg-type]


def test_a_chunk_past_the_messages_limit_is_refused() -> None:
    publisher(SourceConfig(chunk=32), channels=65_536)
    with pytest.raises(UsageError, match=r"^chunk: .* at most 32 samples, got 33"):
        publisher(SourceConfig(chunk=33), channels=65_536)


def test_no_messages_are_nothing_to_it() -> None:
    core = publisher()
    list(core.tick(at(0)))
    assert list(core.receive([], at(0.001))) == []
