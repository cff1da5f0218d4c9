"""The IO shell every command runs in: wait, drain, feed the core, perform its effects. Decides nothing."""

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable
from types import FrameType, GeneratorType, TracebackType
from typing import Protocol, Self

from streamer.clock import Clock, Instant
from streamer.effects import (
    Ask,
    Checkpoint,
    Core,
    Decide,
    Discard,
    Effect,
    Fetch,
    Finish,
    Forget,
    Park,
    Print,
    Reply,
    Say,
    Send,
    Store,
)
from streamer.errors import OperatorError
from streamer.messages import Stored
from streamer.ordering.decisions import Decision
from streamer.output import Output
from streamer.transport.transport import Transport

SHOWN_PROBLEMS = 10
OUTCOMES_AT_ONCE = 64  # of what is written and read beside the loop

log = logging.getLogger("sincos")


class StopSignal:
    """Signals that end a command, as a flag, a `number` and a readable file descriptor, while it is entered.

    SIGINT and SIGTERM end it, and SIGHUP where it does not reload or the terminal it was started from is gone.
    Who was started with SIGHUP ignored (nohup) outlives its terminal.

    Parameters
    ----------
    reloads : bool
        Take a SIGHUP that somebody sent as the wish to read files again.
    """

    def __init__(self, *, reloads: bool = False) -> None:
        self.requested = False
        self.number: int | None = None
        self.reload_requested = False
        self._reloads = reloads
        self._from_terminal = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """Readable once a signal has come."""
        return self._reader.fileno()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        hung_up = self._from_terminal and not has_terminal()
        if number == signal.SIGHUP and self._reloads and not hung_up:
            self.reload_requested = True
        else:
            self.requested = True
            self.number = number

    def take_reload(self) -> bool:
        """Return whether a reload is wanted, once a wish."""
        if not self.reload_requested:
            return False
        self.reload_requested = False
        self.drain()
        return True

    def drain(self) -> None:
        """Be readable again only after a further signal: or every wait from now on would end at once."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(64):
                pass

    def __enter__(self) -> Self:
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        numbers = [signal.SIGINT, signal.SIGTERM]
        outlives_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._from_terminal = not outlives_terminal and has_terminal()
        if self._reloads or not outlives_terminal:
            numbers.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._reader.close()
        self._writer.close()


class Stop(Protocol):
    """A wish to end or to reload, and a descriptor that is readable once there is one."""

    @property
    def requested(self) -> bool: ...
    def take_reload(self) -> bool: ...
    def fileno(self) -> int: ...


class StopRequest:
    """A stop that another thread asks for, where no signal can come."""

    def __init__(self) -> None:
        self.requested = False
        self._reader, self._writer = socket.socketpair()

    def fileno(self) -> int:
        """Readable once it was asked for."""
        return self._reader.fileno()

    def take_reload(self) -> bool:
        """Nobody asks for a reload."""
        return False

    def request(self) -> None:
        """Ask to stop."""
        if not self.requested:
            self.requested = True
            self._writer.close()  # the other end is readable from now on

    def close(self) -> None:
        """Let go of the descriptors, once nobody looks at them any more."""
        self._writer.close()
        self._reader.close()


def has_terminal() -> bool:
    """Return whether this process has a controlling terminal, which a hang-up takes away."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


class StateSink(Protocol):
    """What writes states to disk beside the loop."""

    def write(self, state: Checkpoint) -> None: ...
    def decide(self, decision: Decision) -> None: ...
    def store(self, effect: Store) -> None: ...
    def outcome(self) -> Stored | None: ...


def run(
    core: Core,
    transport: Transport,
    clock: Clock,
    stop: Stop,
    *,
    precise: bool = False,
    keeper: StateSink | None = None,
    reload: Callable[[Instant], Iterable[Effect]] | None = None,
) -> None:
    """Drive `core` until it finishes or a signal asks to stop.

    Parameters
    ----------
    precise : bool
        Meet deadlines to the scheduler's precision. Otherwise they may be up to 1 ms late, and a message
        never waits behind one.
    keeper : Keeper or None
        Where there are `Checkpoint` effects.
    reload : callable or None
        Called at SIGHUP, besides reading the transport's keys again.
    """
    output = Output(stop)
    if not _perform(core.tick(clock.now()), transport, output, keeper):
        while not stop.requested:
            if stop.take_reload():
                if not _reload(transport) and reload is None:
                    log.info("SIGHUP: there is nothing to reload, no keys and no model file; going on")
                if reload is not None and _perform(reload(clock.now()), transport, output, keeper):
                    break
                continue
            messages = transport.receive()
            if keeper is not None and (outcomes := _outcomes(keeper)):
                messages = [*messages, *outcomes]
            if not messages:
                slice_of_work = core.work()
                if slice_of_work is None:
                    if _wait(core, transport, clock, precise):
                        messages = transport.receive()  # before anything else: somebody waits for the answer
                elif _perform(slice_of_work, transport, output, keeper):
                    break
            now = clock.now()
            if messages and _perform(core.receive(messages, now), transport, output, keeper, stop):
                break
            deadline_ns = core.next_deadline_ns()
            due = deadline_ns is not None and now.mono_ns >= deadline_ns
            if due and _perform(core.tick(now), transport, output, keeper):
                break
    _perform(core.stop(clock.now()), transport, output, keeper)


def _outcomes(keeper: StateSink) -> list[Stored]:
    """Return what became of all that was written and read, or of many: there are few turns where much comes in."""
    outcomes: list[Stored] = []
    while len(outcomes) < OUTCOMES_AT_ONCE and (outcome := keeper.outcome()) is not None:
        outcomes.append(outcome)
    return outcomes


def _reload(transport: Transport) -> bool:
    """Read the transport's keys again; return whether it has any."""
    try:
        authorised = transport.reload()
    except OperatorError as error:
        log.error("nothing was reloaded: %s", error)
        return True
    if authorised is None:
        return False
    log.info("keys reloaded: %d may connect", len(authorised.keys))
    for problem in authorised.unreadable[:SHOWN_PROBLEMS]:
        log.error("%s; until then its owner is rejected", problem)
    return True


def _wait(core: Core, transport: Transport, clock: Clock, precise: bool) -> bool:
    """Wait for a deadline or a message; return whether something may have come."""
    deadline_ns = core.next_deadline_ns()
    if deadline_ns is None:
        return transport.wait(None)
    remaining_ns = max(0, deadline_ns - clock.now().mono_ns)
    if precise and remaining_ns < 1_000_000:
        clock.sleep(remaining_ns / 1e9)
        return False
    return transport.wait(remaining_ns // 1_000_000 if precise else -(-remaining_ns // 1_000_000))


def _perform(
    effects: Iterable[Effect], transport: Transport, output: Output, keeper: StateSink | None,
    stop: Stop | None = None,
) -> bool:  # fmt: skip
    """Perform effects in order; return whether the core has finished.

    A core may work between two effects: where `stop` is given, a signal ends a long batch between them.
    """
    finished = False
    try:
        for effect in effects:
            match effect:
                case Send(message):
                    transport.send(message)
                case Reply(peer, message):
                    transport.reply(peer, message)
                case Ask(replay):
                    transport.ask(replay)
                case Print(line):
                    output.add(line)
                case Say(text, level):
                    log.log(level, text)
                case Checkpoint() if keeper is not None:
                    keeper.write(effect)
                case Park() | Fetch() | Discard() | Forget() if keeper is not None:
                    keeper.store(effect)
                case Decide(decision) if keeper is not None:
                    keeper.decide(decision)
                case Finish():
                    finished = True
            if stop is not None and stop.requested:
                break
    finally:
        if isinstance(effects, GeneratorType):
            effects.close()  # so that the core knows which effect was the last
        output.flush()  # once a batch: a reader behind a pipe sees it live, and a thousand lines cost one write
    return finished
