"""What is odd about a stream, said once while it lasts: plain words, bounded in number."""

from collections.abc import Iterator, Mapping, Sequence

from predictor.daemon.formatting import duration
from predictor.daemon.time_jumps import Jump
from streamer.effects import INFO, WARNING, Effect, Say

AGAIN_NS = 60_000_000_000  # before the same is said of the same stream again
JUMPS_AGAIN_NS = 10_000_000_000
JUMP_ADVICE = "samples were lost or paused before they were numbered, or the source's clock was set"
MAX_LINES, LINES_OVER_NS = 20, 10_000_000_000  # of all streams


class RateLimit:
    """How many lines all streams together may still log.

    Parameters
    ----------
    most_lines : int
        Over ten seconds.
    """

    def __init__(self, most_lines: int = MAX_LINES) -> None:
        self._most_lines = self._left = most_lines
        self._renewed_ns: int | None = None
        self._refused = 0
        self._summed_ns: int | None = None

    def take(self, now_ns: int) -> bool:
        """Return whether there may be one more line."""
        if self._renewed_ns is None or now_ns - self._renewed_ns >= LINES_OVER_NS:
            self._left, self._renewed_ns = self._most_lines, now_ns
        if self._left == 0:
            self._refused += 1
            return False
        self._left -= 1
        return True

    def refused(self, now_ns: int) -> Iterator[Effect]:
        """Say how many lines were left out, now and then."""
        if self._refused and (self._summed_ns is None or now_ns - self._summed_ns >= LINES_OVER_NS):
            count, self._refused, self._summed_ns = self._refused, 0, now_ns
            yield Say(f"{count} more such line(s) about streams were left out: see each one's status", WARNING)


class Diagnosis:
    """What is odd about one stream.

    Parameters
    ----------
    stream : str
    allowance : RateLimit
        Shared with the others.
    """

    def __init__(self, stream: str, allowance: RateLimit) -> None:
        self._stream = stream
        self._allowance = allowance
        self._standing: dict[str, str] = {}
        self._logged: frozenset[str] = frozenset()  # of what is or was odd last, what was said
        self._said_ns: dict[str, int] = {}
        self._last_jump: Jump | None = None  # that was not said yet
        self._unsaid_jumps = 0

    @property
    def standing(self) -> list[str]:
        """What is odd now."""
        return list(self._standing.values())

    def begin(self) -> None:
        """Begin a run, of which nothing is known yet."""
        self._standing, self._said_ns = {}, {}
        self._last_jump, self._unsaid_jumps = None, 0

    def judge(self, found: Mapping[str, str | None], now_ns: int) -> Iterator[Effect]:
        """Take what is odd of each kind now, None where nothing is; say what has come or gone."""
        for kind, text in found.items():
            stood = kind in self._standing
            if text is not None:
                self._standing[kind] = text
                if not stood:
                    said = list(self._say(kind, text, now_ns))
                    self._logged = self._logged | {kind} if said else self._logged - {kind}
                    yield from said
            elif stood:
                del self._standing[kind]
                if kind in self._logged and self._allowance.take(now_ns):
                    yield Say(f"stream {self._stream}: {kind} is right again", INFO)

    def note(self, kind: str, text: str, now_ns: int, level: int = WARNING) -> Iterator[Effect]:
        """Say something that has happened, unless the like of it was said a short while ago."""
        yield from self._say(kind, text, now_ns, level)

    def jumped(self, jumps: Sequence[Jump], now_ns: int) -> Iterator[Effect]:
        """Say that times have jumped; soon after, how often since."""
        if jumps:
            self._last_jump = jumps[-1]
            self._unsaid_jumps += len(jumps)
        jump, said_ns = self._last_jump, self._said_ns.get("jump")
        if jump is None or (said_ns is not None and now_ns - said_ns < JUMPS_AGAIN_NS):
            return
        how = "jumps" if jump.size_ns > 0 else "jumps back"
        text = f"time {how} by {duration(abs(jump.size_ns) / 1e9)} at sample {jump.seq} while seq is whole"
        if self._unsaid_jumps > 1:
            text = f"{self._unsaid_jumps} times, the last: {text}"
        if self._allowance.take(now_ns):
            self._said_ns["jump"] = now_ns
            yield Say(f"stream {self._stream}: {text}: {JUMP_ADVICE}", WARNING)
        self._last_jump, self._unsaid_jumps = None, 0

    def _say(self, kind: str, text: str, now_ns: int, level: int = WARNING) -> Iterator[Effect]:
        said_ns = self._said_ns.get(kind)
        if said_ns is not None and now_ns - said_ns < AGAIN_NS:
            return
        if self._allowance.take(now_ns):
            self._said_ns[kind] = now_ns
            yield Say(f"stream {self._stream}: {text}", level)
