"""A snapshot as text for a terminal of any size. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from predictor.console import formatting
from predictor.console.chart import GREY
from predictor.console.freshness import FRESH_S
from predictor.console.plots import error_plot, signal_plot
from predictor.console.snapshot import Health, Learning, Shown, Snapshot, StreamSummary

KEYS = "n next stream   c next channel   q quit"
COLOURS = {
    Health.LIVE: "bold green",
    Health.UNANSWERED: "bold red",
    Health.STALE: "bold yellow",
    Health.LOST: "bold red",
    Health.ENDED: "bold cyan",
    Health.WAITING: "bold yellow",
}
DIM = f"color({GREY})"

CELL_WIDTH, LABEL_WIDTH = 26, 12
STALE_STYLE = "yellow"
MIN_SIGNAL_HEIGHT, MIN_ERROR_HEIGHT = 7, 6
SIGNAL_SHARE = 0.58  # of the room for charts
MAX_TABLE_ROWS = 8
EVENT_S = 60.0  # how long an event stays in sight
PREDICTOR_SILENT_S = FRESH_S

Lines = list[Text]


class Cell(NamedTuple):
    """A label and its value, with how long ago that was known where it is no longer fresh."""

    label: str
    value: str
    stale_s: float | None = None


def render(snapshot: Snapshot, width: int, height: int) -> Text:
    """Return the picture, never more than `height` lines of `width` cells.

    Charts go first where room is short, then the list of streams, then the lesser numbers.
    """
    top, shown = _header(snapshot), snapshot.shown
    body = _waiting(snapshot) if shown is None else _body(snapshot, shown, width, height - 2)
    lines = [top, *body][: max(1, height - 1)]
    lines += [Text()] * (height - 1 - len(lines))
    if height > 1:
        lines.append(Text(f" {KEYS}", style=DIM))
    return Text("\n", no_wrap=True, end="").join(_fit(line, width) for line in lines)


def plain_line(snapshot: Snapshot) -> str:
    """Return the snapshot as one line: time, samples, errors, learning."""
    shown = snapshot.shown
    if shown is None:
        return f"{snapshot.elapsed_s:6.1f} s  " + "; ".join(line.plain for line in _silences(snapshot))
    summary = shown.summary
    updates = summary.learning.updates if summary.learning else None
    return (
        f"{snapshot.elapsed_s:6.1f} s  {summary.name} {summary.health}  samples {summary.input_samples:,}  "
        f"rmse {_dated(formatting.error(summary.rmse), summary.score_stale_s)}  "
        f"phase error {_dated(formatting.degrees(summary.phase_deg), summary.score_stale_s)}  "
        f"updates {_dated(formatting.whole(updates), summary.status_stale_s)}"
    )


def _dated(value: str, stale_s: float | None) -> str:
    """Return a value with its age in brackets, where it is no longer fresh."""
    return value if stale_s is None or value == formatting.DASH else f"{value} ({formatting.age(stale_s)} ago)"


def _header(snapshot: Snapshot) -> Text:
    line = Text.assemble((" sincos ", "bold reverse"))
    shown = snapshot.shown
    if shown is None:
        return line.append(f"  listening for {formatting.seconds(snapshot.elapsed_s)}")
    summary = shown.summary
    line.append(f" {summary.health} ", COLOURS[summary.health])
    silent_s = summary.estimate_stale_s if summary.health is Health.UNANSWERED else summary.input_stale_s
    if silent_s is not None and summary.health is not Health.ENDED:
        line.append(f"for {formatting.seconds(silent_s)} ", "yellow")
    line.append(f" {summary.name}", "bold")
    if summary.familiar is False or shown.channel in summary.unfamiliar_channels:
        line.append("  out of range", "yellow")
    line.append(f"  channel {shown.channel} of {summary.channels}")
    if summary.run is not None:
        line.append(f"  run {summary.run:016x}"[:14], DIM)
    return line


def _waiting(snapshot: Snapshot) -> Lines:
    lines: Lines = [Text(), *(Text(" ").append(line) for line in _silences(snapshot)), Text()]
    for summary in snapshot.streams:
        lines.append(_health_line(summary, " is announced, no sample yet"))
    return [*lines, *_events(snapshot)]


def _health_line(summary: StreamSummary, text: str) -> Text:
    return Text.assemble(" ", (summary.health, COLOURS[summary.health]), f" {summary.name}{text}")


def _silences(snapshot: Snapshot) -> Lines:
    """Who has not been heard, and where."""
    lines: Lines = []
    if snapshot.wanted is not None and snapshot.shown is None:
        lines.append(Text(f"waiting for stream {snapshot.wanted}", "yellow"))
    if not any(summary.input_samples for summary in snapshot.streams):
        lines.append(Text(f"waiting for a source at {', '.join(snapshot.sources)}", "yellow"))
    if snapshot.predictor_silent_s is None:
        lines.append(Text(f"no predictor answers at {', '.join(snapshot.predictors)}", "yellow"))
    elif snapshot.predictor_silent_s > PREDICTOR_SILENT_S:
        silent = formatting.seconds(snapshot.predictor_silent_s)
        lines.append(Text(f"predictor silent for {silent}", "red"))
    return lines


def _body(snapshot: Snapshot, shown: Shown, width: int, room: int) -> Lines:
    numbers = _grid(_cells(snapshot, shown), width)
    warnings = [Text(text, "yellow") for text in shown.summary.warnings]
    notes = [Text(" ").append(line) for line in [*_silences(snapshot), *warnings]]
    table = _table(snapshot, width) if len(snapshot.streams) > 1 else []
    events = _events(snapshot)[:2]
    spare = room - len(numbers) - len(notes)
    table = table if len(table) <= spare - MIN_SIGNAL_HEIGHT or spare < MIN_SIGNAL_HEIGHT else []
    charts = _charts(shown, width, spare - len(table) - len(events))
    return [*charts, *notes, *numbers, *table, *events]


def _charts(shown: Shown, width: int, room: int) -> Lines:
    if room < MIN_SIGNAL_HEIGHT or width < 30:
        return []
    signal_height = room
    if room >= MIN_SIGNAL_HEIGHT + MIN_ERROR_HEIGHT:
        signal_height = min(max(MIN_SIGNAL_HEIGHT, round(room * SIGNAL_SHARE)), room - MIN_ERROR_HEIGHT)
    lines = signal_plot(shown, width, signal_height)
    if signal_height < room:
        lines += error_plot(shown, width, room - signal_height)
    return lines


def _cells(snapshot: Snapshot, shown: Shown) -> Sequence[Cell]:
    """Return the numbers, the most telling first."""
    summary = shown.summary
    learning = summary.learning
    version = "" if summary.model_version is None else f" v{formatting.whole(summary.model_version)}"
    score_s, estimate_s, status_s = summary.score_stale_s, summary.estimate_stale_s, summary.status_stale_s
    rejected_s = snapshot.predictor_rejected_stale_s if snapshot.predictor_rejected else None
    return [
        Cell("RMSE", formatting.error(summary.rmse) if summary.has_targets else "no targets", score_s),
        Cell("phase error", formatting.degrees(summary.phase_deg), score_s),
        Cell("age", formatting.seconds(summary.age_s)),
        Cell("sample rate", formatting.hertz(summary.input_hz)),
        Cell("estimates", formatting.hertz(summary.estimate_hz)),
        Cell("phase now", formatting.degrees(shown.phase_now_deg), estimate_s),
        Cell("amplitude", formatting.plain(shown.amplitude_now), estimate_s),
        Cell("latency p50", formatting.seconds(summary.lag_p50_s), summary.lag_stale_s),
        Cell("latency p99", formatting.seconds(summary.lag_p99_s), summary.lag_stale_s),
        Cell("model", f"{summary.model or formatting.DASH}{version}", status_s),
        Cell("updates", formatting.whole(learning.updates), status_s) if learning else _not_learning(summary),
        _learnt(learning, status_s),
        Cell("samples", formatting.whole(summary.input_samples)),
        Cell("gaps", _gaps(summary), status_s),
        Cell("retransmits", formatting.whole(summary.recovered_samples), status_s),
        Cell("invalid", formatting.whole(summary.unusable), status_s),
        Cell("rejected", formatting.whole(snapshot.rejected + (snapshot.predictor_rejected or 0)), rejected_s),
        Cell("restarts", formatting.whole(summary.restarts)),
    ]


def _learnt(learning: Learning | None, stale_s: float | None) -> Cell:
    if learning is None or learning.champion_deg is None:
        return Cell("loss", formatting.plain(learning.loss if learning else None), stale_s)
    return Cell(
        "self/model",
        f"{formatting.plain(learning.challenger_deg)}/{formatting.plain(learning.champion_deg)}\N{DEGREE SIGN}",
        stale_s,
    )


def _not_learning(summary: StreamSummary) -> Cell:
    return Cell("updates", formatting.DASH if summary.model is None else "not learning")


def _gaps(summary: StreamSummary) -> str:
    samples = f" ({formatting.whole(summary.gap_samples)})" if summary.gap_samples else ""
    return formatting.whole(summary.gaps) + samples


def _grid(cells: Sequence[Cell], width: int) -> Lines:
    columns = max(1, (width - 1) // CELL_WIDTH)
    cell_width = (width - 1) // columns
    lines: Lines = []
    for first in range(0, len(cells), columns):
        line = Text(" ")
        for cell in cells[first : first + columns]:
            line.append_text(_cell(cell, cell_width))
        lines.append(line)
    return lines


def _cell(cell: Cell, width: int) -> Text:
    text = Text.assemble((f"{cell.label:<{LABEL_WIDTH}}", DIM))
    if cell.stale_s is None or cell.value == formatting.DASH:
        return _padded(text.append(cell.value, "bold"), width)
    age = f" ({formatting.age(cell.stale_s)})"  # more telling than the last digits of what is past
    room = width - 1 - LABEL_WIDTH - cell_len(age)
    value = (
        cell.value if cell_len(cell.value) <= room else cell.value[: max(0, room - 1)] + "\N{HORIZONTAL ELLIPSIS}"
    )
    return _padded(text.append(value + age, STALE_STYLE), width)


def _table(snapshot: Snapshot, width: int) -> Lines:
    lines = [_row(("stream", "health", "rate", "RMSE", "phase", "model"), width, DIM)]
    shown = snapshot.shown.summary.name if snapshot.shown else None
    for summary in snapshot.streams[:MAX_TABLE_ROWS]:
        version = formatting.whole(summary.model_version)
        values = (
            summary.name,
            summary.health,
            formatting.hertz(summary.input_hz),
            _score(summary, formatting.error(summary.rmse)),
            _score(summary, formatting.degrees(summary.phase_deg)),
            f"{summary.model or formatting.DASH} v{version}",
        )
        row = _row(values, width, "bold" if summary.name == shown else "")
        row.highlight_words([summary.health], COLOURS[summary.health])
        lines.append(row)
    hidden = len(snapshot.streams) - MAX_TABLE_ROWS
    return [*lines, Text(f" and {hidden} more", DIM)] if hidden > 0 else lines


def _score(summary: StreamSummary, value: str) -> str:
    """Return a score, or how old it is: there is no room for both."""
    return value if summary.score_stale_s is None else f"({formatting.age(summary.score_stale_s)})"


def _row(values: Sequence[str], width: int, style: str) -> Text:
    first = max(8, min(24, width - 65))
    line = Text(" ", style)
    for value, column in zip(values, (first, 13, 12, 10, 9, 20), strict=True):
        line.append_text(_padded(Text(value, style), column))
    return line


def _events(snapshot: Snapshot) -> Lines:
    recent = [event for event in snapshot.events if event.age_s < EVENT_S]
    return [Text(f" {formatting.seconds(event.age_s)} ago: {event.text}", "yellow") for event in recent]


def _padded(text: Text, width: int) -> Text:
    text.truncate(width - 1, overflow="ellipsis")
    text.append(" " * (width - cell_len(text.plain)))
    return text


def _fit(line: Text, width: int) -> Text:
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    return line
