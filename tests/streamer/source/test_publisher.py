"""The source's core on a fake clock: simulated hours, stalls, listeners, late targets."""

from collections.abc import Sequence

import numpy as np
import pytest

from streamer.clock import Instant
from streamer.effects import WARNING, Effect, Finish, Reply, Say, Send
from streamer.errors import UsageError
from streamer.messages import FIELDS, Chunk, Gone, Info, Kind, Replay, Request, Subscription
from streamer.source.live_signal import LiveSignal
from streamer.source.publisher import CHUNKS_PER_TICK, LABEL_BYTES, Publisher, SourceConfig
from streamer.source.signals import Signal
from streamer.wire import codec

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
    assert max(chunk.values.nbytes for chunk in targets) == codec.MAX_PAYLOAD_BYTES


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
    assert info == Info("abc", RUN, 1, at(0.001).wall_ns, 50.0, ("0", "1", "2"), FIELDS, 4, False, 0.0, 0, True)


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
        *[("retain_s", bad) for bad in (-1.0, float("nan"), float("inf"))],
        *[("linger_s", bad) for bad in (-0.5, float("nan"), 1e7)],
        *[("retain_bytes", bad) for bad in (-1, 2**41)],
    ],
)
def test_what_cannot_be_published_is_named(name: str, value: object) -> None:
    named = "retain_mb" if name == "retain_bytes" else name
    with pytest.raises(UsageError, match=f"^{named}: must .*got "):
        SourceConfig(**{name: value})  # type: ignore[arg-type]


def test_a_chunk_past_the_messages_limit_is_refused() -> None:
    publisher(SourceConfig(chunk=32), channels=65_536)
    with pytest.raises(UsageError, match=r"^chunk: .* at most 32 samples, got 33"):
        publisher(SourceConfig(chunk=33), channels=65_536)


def test_no_messages_are_nothing_to_it() -> None:
    core = publisher()
    list(core.tick(at(0)))
    assert list(core.receive([], at(0.001))) == []


def order_by_tallies(chunks: list[Chunk]) -> list[tuple[Kind, int]]:
    """In which order chunks were said, found from their tallies alone."""
    inputs = sorted((chunk for chunk in chunks if chunk.kind is Kind.INPUT), key=lambda chunk: chunk.seq)
    targets = sorted((chunk for chunk in chunks if chunk.kind is Kind.TARGET), key=lambda chunk: chunk.seq)
    order: list[tuple[Kind, int]] = []
    said_inputs = said_targets = 0
    while inputs or targets:
        if inputs and inputs[0].tally == said_targets and not (targets and targets[0].tally == said_inputs):
            said_inputs = inputs[0].end_seq
            order.append((Kind.INPUT, inputs.pop(0).seq))
        else:
            assert targets[0].tally == said_inputs
            said_targets = targets[0].end_seq
            order.append((Kind.TARGET, targets.pop(0).seq))
    return order


@pytest.mark.parametrize(("delay", "chunk"), [(0, 1), (0, 7), (3, 1), (3, 5), (12, 5), (500, 5)])
def test_the_tallies_tell_in_which_order_everything_was_said(delay: int, chunk: int) -> None:
    core = publisher(SourceConfig(chunk=chunk, count=60, target_delay_samples=delay))
    sent = [effect.message for effect in run_until_finished(core, at(0)) if isinstance(effect, Send)]
    chunks = [message for message in sent if isinstance(message, Chunk)]
    assert order_by_tallies(chunks) == [(one.kind, one.seq) for one in chunks]


def test_info_says_how_far_the_targets_are() -> None:
    core = publisher(SourceConfig(target_delay_samples=4))
    effects = [*core.tick(at(0)), *core.tick(at(0.1)), *core.receive([listener(b"info/")], at(0.1))]
    assert (infos(effects)[-1].next_seq, infos(effects)[-1].next_target_seq) == (11, 7)


def request(kind: Kind, seq: int, samples: int, run: int = RUN) -> Request:
    return Request(b"peer", Replay(kind, "demo", run, seq, samples))


def answers(core: Publisher, asked: Request, now: Instant) -> list[object]:
    """Everything that is said to a request, chunks as their bytes."""
    effects = list(core.receive([asked], now))
    while (more := core.work()) is not None:
        effects += more
    replies = [effect for effect in effects if isinstance(effect, Reply)]
    assert {reply.peer for reply in replies} <= {b"peer"}
    return [codec.encode(one.message) if isinstance(one.message, Chunk) else one.message for one in replies]


@pytest.mark.parametrize("kind", [Kind.INPUT, Kind.TARGET])
def test_what_was_said_is_said_again_as_it_was(kind: Kind) -> None:
    core = publisher(SourceConfig(chunk=3))
    effects = [*core.tick(at(0)), *core.tick(at(1))]
    chunks = said(effects, kind)
    assert answers(core, request(kind, 0, 10**6), at(1)) == [codec.encode(chunk) for chunk in chunks]
    assert answers(core, request(kind, 7, 1), at(1)) == [codec.encode(chunks[2])]
    assert answers(core, request(kind, core.record.next_seq, 1), at(1)) == []


def test_what_is_too_old_or_of_another_run_is_gone() -> None:
    core = publisher(SourceConfig(retain_s=1.0))
    for tick in range(300):
        list(core.tick(at(tick / 100)))
    gone, *kept = answers(core, request(Kind.INPUT, 0, 1000), at(3))
    assert gone == Gone(Kind.INPUT, "demo", RUN, 0, 200)
    assert len(kept) == 100
    assert answers(core, request(Kind.INPUT, 5, 9, run=1), at(3)) == [Gone(Kind.INPUT, "demo", 1, 5, 9)]


@pytest.mark.parametrize("limit", [{"retain_s": 0.0}, {"retain_bytes": 0}])
def test_a_source_that_keeps_nothing_says_so(limit: dict[str, float]) -> None:
    core = publisher(SourceConfig(**limit))  # type: ignore[arg-type]
    effects = [*core.tick(at(0)), *core.tick(at(1))]
    assert not infos(effects)[0].replays
    assert answers(core, request(Kind.INPUT, 0, 5), at(1)) == [Gone(Kind.INPUT, "demo", RUN, 0, 5)]


def test_a_storm_of_requests_makes_no_sample_late() -> None:
    core = publisher(SourceConfig(), rate_hz=1000.0)
    list(core.tick(at(0)))
    list(core.tick(at(2)))
    storm = [Request(b"%d" % k, Replay(Kind.INPUT, "demo", RUN, 0, 10**6)) for k in range(1000)]
    assert len(list(core.receive(storm, at(2)))) < 100
    assert len(core.work() or ()) < 100


def test_it_stays_after_the_last_sample_to_be_asked() -> None:
    core = publisher(SourceConfig(count=10, linger_s=2.5, target_delay_samples=3))
    effects = list(core.receive([listener()], at(0)))
    effects += core.tick(at(0.1))
    assert covered(said(effects, Kind.TARGET)) == list(range(10))
    assert infos(effects)[-1].ended
    assert Finish() not in effects
    assert core.next_deadline_ns() == at(1).mono_ns
    for second in (1.0, 2.0):
        (again,) = infos(list(core.tick(at(second))))
        assert (again.ended, again.next_seq, again.next_target_seq) == (True, 10, 10)
    assert len(answers(core, request(Kind.INPUT, 0, 10), at(2.2))) == 10
    assert core.next_deadline_ns() == at(2.6).mono_ns
    assert list(core.tick(at(2.6))) == [Finish()]
    assert [info.ended for info in infos(list(core.stop(at(2.6))))] == [True]


@pytest.mark.parametrize("paced", [True, False])
def test_it_does_not_spin_while_it_stays(paced: bool) -> None:
    core = publisher(SourceConfig(count=10, paced=paced))
    list(core.receive([listener()], at(0)))
    list(core.tick(at(0.1)))
    deadline_ns = core.next_deadline_ns()
    assert deadline_ns is not None
    assert deadline_ns >= at(0.9).mono_ns


@pytest.mark.parametrize("config", [{"linger_s": 0.0}, {"retain_s": 0.0}])
def test_it_leaves_at_once_where_it_may_not_be_asked(config: dict[str, float]) -> None:
    core = publisher(SourceConfig(count=10, **config))  # type: ignore[arg-type]
    list(core.receive([listener()], at(0)))
    assert Finish() in list(core.tick(at(0.1)))


class Paper:
    """A journal in memory; or one that cannot write."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.to_say: list[str] = []

    def append(self, chunk: Chunk, now: Instant) -> None:  # noqa: ARG002
        self.chunks.append(chunk)

    def news(self) -> list[str]:
        said, self.to_say = self.to_say, []
        return said


def journalled(paper: Paper, config: SourceConfig, now: Instant | None = None) -> Publisher:
    """A source that takes up what is on paper."""
    core = Publisher(config, Signal(), RUN, paper)
    ends = {kind: max((one.end_seq for one in paper.chunks if one.kind is kind), default=0) for kind in Kind}
    core.record.resume(list(paper.chunks), ends[Kind.INPUT], ends[Kind.TARGET], now or at(0))
    return core


def test_every_chunk_is_written_down_before_it_is_said() -> None:
    paper, count = Paper(), 0
    core = journalled(paper, SourceConfig(count=30, chunk=4, target_delay_samples=3))
    for now in (at(0), at(1)):
        for effect in core.tick(now):
            if isinstance(effect, Send) and isinstance(effect.message, Chunk):
                count += 1
                assert paper.chunks[count - 1] is effect.message
    assert count == 16


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("written", [1, 2, 7, 8, 20])
def test_a_run_goes_on_where_it_was_cut_off(delay: int, written: int) -> None:
    config = SourceConfig(count=20, target_delay_samples=delay)
    paper = Paper()
    before = journalled(paper, config)
    list(before.tick(at(0)))
    list(before.tick(at(1)))
    list(before.stop(at(1)))
    whole = [codec.encode(chunk)[::2] for chunk in paper.chunks]
    tallies = [chunk.tally for chunk in paper.chunks]
    del paper.chunks[written:]
    core = journalled(paper, config, at(100))
    list(core.receive([listener()], at(100)))
    list(core.tick(at(101)))
    assert [codec.encode(chunk)[::2] for chunk in paper.chunks] == whole
    assert [chunk.tally for chunk in paper.chunks] == tallies
    resumed = [chunk for chunk in paper.chunks[written:] if chunk.kind is Kind.INPUT]
    assert [chunk.time_ns for chunk in resumed] == [at(100 + k / 100).wall_ns for k in range(len(resumed))]
    assert answers(core, request(Kind.INPUT, 0, 20), at(101)) == [
        codec.encode(chunk) for chunk in paper.chunks if chunk.kind is Kind.INPUT
    ]


def test_a_run_that_was_stopped_has_not_ended_if_it_can_be_taken_up() -> None:
    core = journalled(Paper(), SourceConfig(target_delay_samples=7))
    effects = [*core.tick(at(0)), *core.tick(at(0.2)), *core.stop(at(0.2))]
    assert not infos(effects)[-1].ended
    assert infos(effects)[-1].next_target_seq == 14


def test_a_finished_run_that_is_taken_up_stays_to_be_asked() -> None:
    paper = Paper()
    config = SourceConfig(count=5)
    before = journalled(paper, config)
    assert Finish() in [*before.tick(at(0)), *before.tick(at(1))]
    core = journalled(paper, config, at(50))
    effects = list(core.tick(at(50)))
    assert said(effects, Kind.INPUT) == []
    assert infos(effects)[-1].ended
    assert Finish() not in effects
    assert len(answers(core, request(Kind.TARGET, 0, 5), at(50.5))) == 5


def test_news_of_the_journal_is_passed_on_within_a_second() -> None:
    paper = Paper()
    core = journalled(paper, SourceConfig())
    list(core.tick(at(0)))
    paper.to_say.append("it cannot be written")
    effects = [effect for tenth in range(1, 30) for effect in core.tick(at(tenth / 10))]
    assert [effect for effect in effects if isinstance(effect, Say)] == [Say("it cannot be written", WARNING)]


def test_names_of_channels_fit_the_infos_that_peers_accept() -> None:
    """Larger ones would be rejected by every reader, and nobody hear that the run has ended."""
    fits = ("x" * codec.MAX_LABEL_LETTERS,) * (LABEL_BYTES // (codec.MAX_LABEL_LETTERS + 4))
    core = Publisher(SourceConfig("s" * 64), labelled(fits), 2**64 - 1)
    (info,) = [e.message for e in core.tick(at(0)) if isinstance(e, Send) and isinstance(e.message, Info)]
    decoded = codec.decode(codec.encode(info))
    assert isinstance(decoded, Info)
    assert decoded.channels == fits
    with pytest.raises(UsageError, match=f"names of channels may take {LABEL_BYTES} bytes in all, as JSON, got"):
        Publisher(SourceConfig(), labelled((*fits, fits[0])), RUN)
    with pytest.raises(UsageError, match=r"names of channels must have at most 64 letters, got 65 in 'xxxx"):
        Publisher(SourceConfig(), labelled((fits[0] + "x",)), RUN)


def labelled(labels: tuple[str, ...]) -> LiveSignal:
    signal = LiveSignal(1e6, len(labels), labels)
    signal.leave()
    return signal
