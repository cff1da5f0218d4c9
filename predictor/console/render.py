"""A snapshot as text for a terminal of any size. Pure."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from predictor.console import words
from predictor.console.chart import GREY
from predictor.console.plots import error_plot, signal_plot
from predictor.console.snapshot import Health, Learning, Shown, Snapshot, StreamSummary

KEYS = "n next stream   c next channel   q quit"
COLOURS = {
    Health.LIVE: "bold green",
    Health.STALE: "bold yellow",
    Health.LOST: "bold red",
    Health.ENDED: "bold cyan",
    Health.WAITING: "bold yellow",
}
DIM = f"color({GREY})"

CELL_WIDTH = 26
MIN_SIGNAL_HEIGHT, MIN_ERROR_HEIGHT = 7, 6
SIGNAL_SHARE = 0.58  # of the room for charts
MAX_TABLE_ROWS = 8
EVENT_S = 60.0  # how long an event stays in sight
PREDICTOR_SILENT_S = 3.0  # a status comes every second

Cell = tuple[str, str]
Lines = list[Text]


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
        f"rmse {words.error(summary.rmse)}  phase error {words.degrees(summary.phase_deg)}  "
        f"updates {words.whole(updates)}"
    )


def _header(snapshot: Snapshot) -> Text:
    line = Text.assemble((" sincos ", "bold reverse"))
    shown = snapshot.shown
    if shown is None:
        return line.append(f"  listening for {words.seconds(snapshot.elapsed_s)}")
    summary = shown.summary
    line.append(f" {summary.health} ", COLOURS[summary.health])
    line.append(f" {summary.name}", "bold")
    line.append(f"  channel {shown.channel} of {summary.channels}")
    if summary.run is not None:
        line.append(f"  run {summary.run:016x}"[:14], DIM)
    return line


def _waiting(snapshot: Snapshot) -> Lines:
    lines: Lines = [Text(), *(Text(" ").append(line) for line in _silences(snapshot)), Text()]
    for summary in snapshot.streams:
        lines.append(_health_line(summary, " is known, no sample yet"))
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
        lines.append(Text(f"no predictor heard at {', '.join(snapshot.predictors)}", "yellow"))
    elif snapshot.predictor_silent_s > PREDICTOR_SILENT_S:
        silent = words.seconds(snapshot.predictor_silent_s)
        lines.append(Text(f"predictor silent for {silent}", "red"))
    return lines


def _body(snapshot: Snapshot, shown: Shown, width: int, room: int) -> Lines:
    numbers = _grid(_cells(snapshot, shown.summary), width)
    notes = [Text(" ").append(line) for line in _silences(snapshot)]
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


def _cells(snapshot: Snapshot, summary: StreamSummary) -> Sequence[Cell]:
    """Label and value, the most telling first."""
    learning = summary.learning
    version = "" if summary.model_version is None else f" v{words.whole(summary.model_version)}"
    return [
        ("RMSE", words.error(summary.rmse) if summary.has_targets else "no targets"),
        ("phase error", words.degrees(summary.phase_deg)),
        ("age", words.seconds(summary.age_s)),
        ("input", words.hertz(summary.input_hz)),
        ("estimates", words.hertz(summary.estimate_hz)),
        ("lag p50", words.seconds(summary.lag_p50_s)),
        ("lag p99", words.seconds(summary.lag_p99_s)),
        ("model", f"{summary.model or words.DASH}{version}"),
        ("updates", words.whole(learning.updates) if learning else _not_learning(summary)),
        _learnt(learning),
        ("samples", words.whole(summary.input_samples)),
        ("gaps", _gaps(summary)),
        ("recovered", words.whole(summary.recovered_samples)),
        ("unusable", words.whole(summary.unusable)),
        ("rejected", words.whole(snapshot.rejected + (snapshot.predictor_rejected or 0))),
        ("restarts", words.whole(summary.restarts)),
    ]


def _learnt(learning: Learning | None) -> Cell:
    if learning is None or learning.champion_deg is None:
        return "loss", words.plain(learning.loss if learning else None)
    return (
        "learnt/model",
        f"{words.plain(learning.challenger_deg)}/{words.plain(learning.champion_deg)}\N{DEGREE SIGN}",
    )


def _not_learning(summary: StreamSummary) -> str:
    return words.DASH if summary.model is None else "not learning"


def _gaps(summary: StreamSummary) -> str:
    samples = f" ({words.whole(summary.gap_samples)})" if summary.gap_samples else ""
    return words.whole(summary.gaps) + samples


def _grid(cells: Sequence[Cell], width: int) -> Lines:
    columns = max(1, (width - 1) // CELL_WIDTH)
    cell_width = (width - 1) // columns
    lines: Lines = []
    for first in range(0, len(cells), columns):
        line = Text(" ")
        for label, value in cells[first : first + columns]:
            line.append_text(_cell(label, value, cell_width))
        lines.append(line)
    return lines


def _cell(label: str, value: str, width: int) -> Text:
    cell = Text.assemble((f"{label:<12}", DIM), (value, "bold"))
    return _padded(cell, width)


def _table(snapshot: Snapshot, width: int) -> Lines:
    lines = [_row(("stream", "health", "input", "RMSE", "phase", "model"), width, DIM)]
    shown = snapshot.shown.summary.name if snapshot.shown else None
    for summary in snapshot.streams[:MAX_TABLE_ROWS]:
        version = words.whole(summary.model_version)
        row = _row(
            (summary.name, summary.health, words.hertz(summary.input_hz), words.error(summary.rmse),
             words.degrees(summary.phase_deg), f"{summary.model or words.DASH} v{version}"),
            width, "bold" if summary.name == shown else "",
        )  # fmt: skip
        row.highlight_words([summary.health], COLOURS[summary.health])
        lines.append(row)
    hidden = len(snapshot.streams) - MAX_TABLE_ROWS
    return [*lines, Text(f" and {hidden} more", DIM)] if hidden > 0 else lines


def _row(values: Sequence[str], width: int, style: str) -> Text:
    first = max(8, min(24, width - 61))
    line = Text(" ", style)
    for value, column in zip(values, (first, 9, 12, 10, 9, 20), strict=True):
        line.append_text(_padded(Text(value, style), column))
    return line


def _events(snapshot: Snapshot) -> Lines:
    recent = [event for event in snapshot.events if event.age_s < EVENT_S]
    return [Text(f" {words.seconds(event.age_s)} ago: {event.text}", "yellow") for event in recent]


def _padded(text: Text, width: int) -> Text:
    text.truncate(width - 1, overflow="ellipsis")
    text.append(" " * (width - cell_len(text.plain)))
    return text


def _fit(line: Text, width: int) -> Text:
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    return line
