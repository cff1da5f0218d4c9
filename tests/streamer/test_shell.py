"""The shell with a scripted transport and a fake clock: who is called when, and in which order."""

import io
import logging
import os
import select
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from streamer import shell
from streamer.clock import Instant
from streamer.effects import WARNING, Ask, Effect, Finish, Print, Reply, Say, Send
from streamer.errors import FileError, NothingHeard
from streamer.messages import Incoming, Kind, Message, Rejected, Replay, Status
from streamer.transport.keys import Authorised

MS_NS = 1_000_000


class FakeClock:
    """Stands still except in `sleep` and where the transport waits."""

    def __init__(self) -> None:
        self.mono_ns = 0

    def now(self) -> Instant:
        return Instant(self.mono_ns, self.mono_ns)

    def sleep(self, duration_s: float) -> None:
        self.mono_ns += round(duration_s * 1e9)


class FakeTransport:
    """Delivers each batch at its time; a wait ends there or when it is over."""

    def __init__(self, clock: FakeClock, batches: Sequence[tuple[int, list[Incoming]]] = ()) -> None:
        self.clock = clock
        self.batches = list(batches)
        self.sent: list[Message] = []
        self.replied: list[tuple[bytes, Message]] = []
        self.asked: list[Replay] = []
        self.waits_ms: list[int | None] = []
        self.reloads = 0
        self.unreadable: tuple[str, ...] = ()
        self.has_keys = True
        self.during_reload: Callable[[], None] = lambda: None

    def receive(self) -> list[Incoming]:
        if self.batches and self.batches[0][0] <= self.clock.mono_ns:
            return self.batches.pop(0)[1]
        return []

    def wait(self, timeout_ms: int | None) -> bool:
        self.waits_ms.append(timeout_ms)
        assert len(self.waits_ms) < 1000, "the shell spins"
        ends = [] if timeout_ms is None else [self.clock.mono_ns + timeout_ms * MS_NS]
        ends += [due for due, _ in self.batches[:1]]
        assert ends, "the shell would wait for ever"
        self.clock.mono_ns = max(self.clock.mono_ns, min(ends))
        return True

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def reply(self, peer: bytes, message: Message) -> None:
        self.replied.append((peer, message))

    def ask(self, replay: Replay) -> None:
        self.asked.append(replay)

    def reload(self) -> Authorised | None:
        self.reloads += 1
        self.during_reload()
        return Authorised(frozenset([b"key"]), self.unreadable) if self.has_keys else None


class FakeCore:
    """Writes down its calls and answers as scripted."""

    def __init__(self, **script: Callable[..., Iterable[Effect] | None]) -> None:
        self.calls: list[tuple[str, int]] = []
        self.script = script
        self.deadline_ns: int | None = None

    def _answer(self, name: str, now: Instant, *arguments: Any) -> Iterable[Effect]:
        self.calls.append((name, now.mono_ns))
        answer = self.script.get(name)
        return (answer(now, *arguments) if answer else None) or ()

    def receive(self, messages: Sequence[Incoming], now: Instant) -> Iterable[Effect]:
        return self._answer("receive", now, messages)

    def tick(self, now: Instant) -> Iterable[Effect]:
        return self._answer("tick", now)

    def stop(self, now: Instant) -> Iterable[Effect]:
        return self._answer("stop", now)

    def next_deadline_ns(self) -> int | None:
        return self.deadline_ns

    def work(self) -> Iterable[Effect] | None:
        answer = self.script.get("work")
        return answer() if answer else None

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


@pytest.fixture
def stop() -> Iterator[shell.StopSignal]:
    signal_flag = shell.StopSignal()  # never entered: only its flag is used
    yield signal_flag
    signal_flag._reader.close()
    signal_flag._writer.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def drive(core: FakeCore, transport: FakeTransport, stop: shell.StopSignal, *, precise: bool = False) -> None:
    shell.run(core, transport, transport.clock, stop, precise=precise)  # type: ignore[arg-type]


def finish(*_: object) -> list[Effect]:
    return [Finish()]


def message(text: str) -> Status:
    return Status(text, 0, 0, 0)


def test_the_first_tick_may_finish(clock: FakeClock, stop: shell.StopSignal) -> None:
    core = FakeCore(tick=finish, stop=lambda _: [Send(message("last"))])
    transport = FakeTransport(clock)
    drive(core, transport, stop)
    assert core.names == ["tick", "stop"]
    assert transport.sent == [message("last")]


def test_effects_are_performed_in_order_each_to_its_place(
    clock: FakeClock, stop: shell.StopSignal, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    effects: list[Effect] = [
        Print("one"), Send(message("a")), Say("low"), Finish(), Print("two"), Send(message("b")),
        Say("high", WARNING),
    ]  # fmt: skip
    transport = FakeTransport(clock)
    with caplog.at_level(logging.INFO, "sincos"):
        drive(FakeCore(tick=lambda _: effects), transport, stop)
    assert capsys.readouterr().out == "one\ntwo\n"
    assert transport.sent == [message("a"), message("b")]
    assert [(record.levelno, record.message) for record in caplog.records] == [(20, "low"), (30, "high")]


def test_requests_and_replies_reach_the_transport(clock: FakeClock, stop: shell.StopSignal) -> None:
    wanted = Replay(Kind.INPUT, "demo", 1, 0, 9)
    transport = FakeTransport(clock)
    drive(FakeCore(tick=lambda _: [Ask(wanted), Reply(b"peer", message("a")), Finish()]), transport, stop)
    assert transport.asked == [wanted]
    assert transport.replied == [(b"peer", message("a"))]


def test_messages_are_fed_as_they_came_and_before_a_tick_that_is_due(
    clock: FakeClock, stop: shell.StopSignal
) -> None:
    heard: list[Sequence[Incoming]] = []

    def receive(_now: Instant, messages: Sequence[Incoming]) -> list[Effect]:
        heard.append(messages)
        return [Finish()] if len(heard) == 2 else []

    def tick(now: Instant) -> None:
        core.deadline_ns = now.mono_ns + 10 * MS_NS

    batches: list[tuple[int, list[Incoming]]] = [
        (0, [Rejected("1"), Rejected("2")]),
        (5 * MS_NS, [Rejected("3")]),
    ]
    core = FakeCore(receive=receive, tick=tick)
    core.deadline_ns = 0
    drive(core, FakeTransport(clock, batches), stop)
    assert heard == [batches[0][1], batches[1][1]]
    assert core.calls == [("tick", 0), ("receive", 0), ("receive", 5 * MS_NS), ("stop", 5 * MS_NS)]


def test_a_tick_that_is_due_follows_the_messages_even_if_they_never_pause(
    clock: FakeClock, stop: shell.StopSignal
) -> None:
    ticks: list[int] = []

    def tick(now: Instant) -> list[Effect]:
        ticks.append(now.mono_ns)
        return [Finish()] if len(ticks) == 3 else []

    core = FakeCore(tick=tick)
    core.deadline_ns = 0
    drive(core, FakeTransport(clock, [(0, [Rejected("x")])] * 10), stop)
    assert core.names == ["tick", "receive", "tick", "receive", "tick", "stop"]


@pytest.mark.parametrize(
    ("precise", "waits_ms", "called_ns"),
    [(True, [2], 2_500_000), (False, [3], 3_000_000)],
    ids=["precise", "coarse"],
)
def test_deadlines_are_met(
    precise: bool, waits_ms: list[int], called_ns: int, clock: FakeClock, stop: shell.StopSignal
) -> None:
    core = FakeCore()
    core.deadline_ns = 2_500_000
    core.script["tick"] = lambda now: [Finish()] if now.mono_ns else []
    transport = FakeTransport(clock)
    drive(core, transport, stop, precise=precise)
    assert transport.waits_ms == waits_ms
    assert core.calls == [("tick", 0), ("tick", called_ns), ("stop", called_ns)]


def test_without_a_deadline_it_waits_for_messages_alone(clock: FakeClock, stop: shell.StopSignal) -> None:
    transport = FakeTransport(clock, [(10**12, [Rejected("x")])])
    drive(FakeCore(receive=finish), transport, stop)
    assert transport.waits_ms == [None]


def test_work_is_done_while_nothing_comes_in_and_no_longer(clock: FakeClock, stop: shell.StopSignal) -> None:
    slices: list[int] = []

    def work() -> list[Effect] | None:
        if len(slices) == 3:
            return None
        slices.append(clock.mono_ns)
        clock.mono_ns += MS_NS
        return []

    core = FakeCore(work=work, receive=lambda _now, messages: [Finish()] if messages == [Rejected("b")] else [])
    transport = FakeTransport(clock, [(0, [Rejected("a")]), (2 * MS_NS, []), (100 * MS_NS, [Rejected("b")])])
    drive(core, transport, stop)
    assert core.calls[1] == ("receive", 0)
    assert slices == [0, MS_NS, 2 * MS_NS]
    assert transport.waits_ms[0] is None


def test_work_may_finish(clock: FakeClock, stop: shell.StopSignal) -> None:
    core = FakeCore(work=lambda: [Finish()])
    drive(core, FakeTransport(clock), stop)
    assert core.names == ["tick", "stop"]


def test_a_stop_asked_for_is_the_last_call(clock: FakeClock, stop: shell.StopSignal) -> None:
    def receive(_now: Instant, _messages: Sequence[Incoming]) -> None:
        stop.requested = True

    core = FakeCore(receive=receive, stop=lambda _: [Send(message("last"))])
    transport = FakeTransport(clock, [(0, [Rejected("x")]), (0, [Rejected("y")])])
    drive(core, transport, stop)
    assert core.names == ["tick", "receive", "stop"]
    assert transport.sent == [message("last")]


def test_a_signal_ends_a_long_batch_between_effects(clock: FakeClock, stop: shell.StopSignal) -> None:
    """What the core has decided is performed, and it hears that nothing more will be before it is stopped."""
    closed: list[bool] = []

    def receive(_now: Instant, _messages: Sequence[Incoming]) -> Iterator[Effect]:
        yield Send(message("first"))
        stop.requested = True
        try:
            yield Send(message("second"))
        finally:
            closed.append(True)
        yield Send(message("third"))

    core = FakeCore(receive=receive, stop=lambda _: [Send(message("last" if closed else "too early"))])
    transport = FakeTransport(clock, [(0, [Rejected("x")])])
    drive(core, transport, stop)
    assert transport.sent == [message("first"), message("second"), message("last")]


class CountingOut(io.StringIO):
    """Standard output that counts its flushes."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


def test_output_is_flushed_once_a_batch(
    clock: FakeClock, stop: shell.StopSignal, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = CountingOut()
    monkeypatch.setattr("sys.stdout", out)
    core = FakeCore(tick=lambda _: [Print("a"), Print("b")], receive=finish, stop=lambda _: [Print("c")])
    drive(core, FakeTransport(clock, [(0, [Rejected("x")])]), stop)
    assert (out.getvalue(), out.flushes) == ("a\nb\nc\n", 2)


def test_what_was_printed_before_an_error_is_flushed(
    clock: FakeClock, stop: shell.StopSignal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tick(_now: Instant) -> Iterator[Effect]:
        yield Print("kept")
        raise NothingHeard("silence")

    out = CountingOut()
    monkeypatch.setattr("sys.stdout", out)
    with pytest.raises(NothingHeard):
        drive(FakeCore(tick=tick), FakeTransport(clock), stop)
    assert (out.getvalue(), out.flushes) == ("kept\n", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_the_flag_and_wakes_a_poll(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with shell.StopSignal() as stop:
        assert not stop.requested
        assert select.select([stop], [], [], 0)[0] == []
        os.kill(os.getpid(), number)
        assert select.select([stop], [], [], 5)[0] == [stop]
        requested: bool = stop.requested
        assert requested
    assert signal.getsignal(number) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_many_signals_do_no_harm() -> None:
    with shell.StopSignal() as stop:
        for _ in range(2000):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested


def damage() -> None:
    raise FileError("x.key: damaged")


@pytest.mark.parametrize(
    ("during_reload", "said"),
    [(lambda: None, "keys reloaded: 1 may connect"), (damage, "nothing was reloaded: x.key: damaged")],
)
def test_a_hang_up_reloads_the_keys_once_and_a_failure_is_said(
    clock: FakeClock, caplog: pytest.LogCaptureFixture, during_reload: Callable[[], None], said: str
) -> None:
    transport = FakeTransport(clock, [(MS_NS, [Rejected("x")])])
    transport.during_reload = during_reload
    core = FakeCore(receive=lambda *_: [Finish()])
    with shell.StopSignal(reloads=True) as stop, caplog.at_level(logging.INFO):
        os.kill(os.getpid(), signal.SIGHUP)
        drive(core, transport, stop)
        assert not select.select([stop], [], [], 0)[0], "the wish is taken: nothing wakes up for it again"
    assert transport.reloads == 1
    assert core.names == ["tick", "receive", "stop"]
    assert caplog.messages == [said]


def test_where_nothing_is_to_be_reloaded_that_is_said_and_it_goes_on(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    transport = FakeTransport(clock, [(MS_NS, [Rejected("x")])])
    transport.has_keys = False
    core = FakeCore(receive=lambda *_: [Finish()])
    with shell.StopSignal(reloads=True) as stop, caplog.at_level(logging.INFO):
        os.kill(os.getpid(), signal.SIGHUP)
        drive(core, transport, stop)
    assert core.names == ["tick", "receive", "stop"]
    assert caplog.messages == ["SIGHUP: there is nothing to reload, no keys and no model file; going on"]


def test_keys_that_cannot_be_read_are_named(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    transport = FakeTransport(clock)
    transport.during_reload = lambda: os.kill(os.getpid(), signal.SIGTERM)
    transport.unreadable = ("a.key: damaged",)
    with shell.StopSignal(reloads=True) as stop, caplog.at_level(logging.INFO):
        os.kill(os.getpid(), signal.SIGHUP)
        drive(FakeCore(), transport, stop)
    assert caplog.messages == [
        "keys reloaded: 1 may connect",
        "a.key: damaged; until then its owner is rejected",
    ]


def test_a_stop_that_comes_during_a_reload_is_heeded(clock: FakeClock) -> None:
    transport, core = FakeTransport(clock), FakeCore()
    transport.during_reload = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with shell.StopSignal(reloads=True) as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        drive(core, transport, stop)
    assert core.names == ["tick", "stop"]
