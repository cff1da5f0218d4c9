"""The console's loop: drain, look at the keys, show, a few times a second."""

import select
from collections.abc import Callable, Sequence
from typing import Protocol

from predictor.console.collector import Collector, Selection
from predictor.console.keyboard import Keyboard
from predictor.console.snapshot import Snapshot
from streamer.clock import Clock
from streamer.messages import Kind
from streamer.shell import StopSignal
from streamer.transport.transport import Transport
from streamer.wire import codec

FRAME_NS = 125_000_000  # drawing is most of what the console costs, and eight pictures a second look alive

# The input comes last: a source that waits for a listener to it has then heard of the rest.
TOPICS = tuple(codec.topic(kind) for kind in (Kind.STATUS, Kind.ESTIMATE, Kind.INFO, Kind.TARGET, Kind.INPUT))


class Display(Protocol):
    """Where pictures go, and where keys come from."""

    keyboard: Keyboard

    def show(self, snapshot: Snapshot) -> None:
        """Show a picture in place of the last."""
        ...


def listen(sources: Sequence[str], predictors: Sequence[str]) -> Transport:
    """Subscribe to everything that is said at the addresses."""
    return Transport(connect=[*predictors, *sources], topics=TOPICS)


def press(keys: str, selection: Selection, collector: Collector) -> Selection | None:
    """Return what is selected after `keys`; None to quit."""
    for key in keys:
        match key:
            case "q" | "Q":
                return None
            case "n" | "\t":
                selection = collector.next_stream(selection)
            case "c":
                selection = collector.next_channel(selection)
    return selection


def watch(
    collector: Collector,
    selection: Selection,
    transport: Transport,
    clock: Clock,
    stop: StopSignal,
    display: Display,
    finished: Callable[[Snapshot], bool],
) -> Snapshot:
    """Show pictures until a signal, the key q or `finished`; return the last one."""
    frame_ns = clock.now().mono_ns
    while True:
        frame_ns = max(frame_ns + FRAME_NS, clock.now().mono_ns)
        _drain(collector, transport, clock, frame_ns)
        pressed: Selection | None = selection
        if _wait(stop, display.keyboard, (frame_ns - clock.now().mono_ns) / 1e9):
            pressed = press(display.keyboard.read(), selection, collector)
        selection = pressed or selection
        _drain(collector, transport, clock, frame_ns)
        snapshot = collector.snapshot(selection, clock.now())
        if stop.requested or pressed is None or finished(snapshot):
            return snapshot
        display.show(snapshot)


def _drain(collector: Collector, transport: Transport, clock: Clock, until_ns: int) -> None:
    """Take all that is waiting, at least one batch and no longer than `until_ns`."""
    while messages := transport.receive():
        now = clock.now()
        collector.receive(messages, now)
        if now.mono_ns >= until_ns:
            return


def _wait(stop: StopSignal, keyboard: Keyboard, timeout_s: float) -> bool:
    """Wait for a key or a signal; return whether it was a key.

    Messages do not end the wait: one wake-up a message would cost more than all the rest.
    """
    ready, _, _ = select.select([stop.fileno(), *keyboard.files], [], [], max(0.0, timeout_s))
    if stop.fileno() in ready:
        stop.drain()  # its flag says what came; Ctrl-Z is no reason to stop
    return any(file in ready for file in keyboard.files)
