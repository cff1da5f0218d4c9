"""A recording as a signal: the samples of a file, once or again and again, with its gaps."""

from bisect import bisect_right
from pathlib import Path
from typing import Any
from zlib import crc32

from streamer.messages import FloatArray
from streamer.recordings.recording import Recording
from streamer.waveforms import check_range
from streamer.wire import codec

DIGEST_BYTES = 2**20


class RecordedSignal:
    """What a source says that publishes a file.

    Parameters
    ----------
    recording : Recording
    rate_hz : float
        Samples a second as they are published.
    loops : bool
        Begin again after the last sample.

    Raises
    ------
    UsageError
        If the rate or the number of channels is out of range.
    """

    def __init__(self, recording: Recording, rate_hz: float, *, loops: bool = False) -> None:
        check_range("rate_hz", rate_hz, codec.MIN_RATE_HZ, codec.MAX_RATE_HZ)
        check_range("channels", recording.columns, 1, codec.MAX_CHANNELS)
        self.rate_hz = rate_hz
        self.channels = recording.columns
        self.labels = recording.names
        self._recording = recording
        self._loops = loops
        self._parts = list(recording.parts())
        self._ends = [seq + end - row for row, end, seq in self._parts]

    def about(self) -> dict[str, Any]:
        """Return which signal it is, for a journal: the file's name, shape and first bytes."""
        recording = self._recording
        values = recording.block(0, max(1, DIGEST_BYTES // recording.columns))
        return {
            "file": Path(recording.path).name, "rows": recording.rows, "samples": recording.samples,
            "channels": recording.columns, "rate_hz": self.rate_hz, "loops": self._loops,
            "digest": f"{crc32(values.tobytes()):08x}",
        }  # fmt: skip

    def stretch(self, seq: int) -> tuple[int, int] | None:
        """Return where the next samples from `seq` on begin and end that no gap parts."""
        if self.ends(seq):
            return None
        base, (_, _, first), end = self._find(seq)
        return max(seq, base + first), base + end

    def ends(self, seq: int) -> bool:
        """Whether nothing follows from `seq` on."""
        return not self._loops and seq >= self._ends[-1]

    def samples(self, seq: int, count: int) -> tuple[FloatArray, FloatArray]:
        """Return inputs [count, channels, 1] of one stretch, and targets without a field."""
        base, (row, _, first), _ = self._find(seq)
        begin = row + seq - base - first
        inputs = self._recording.block(begin, begin + count)[..., None]
        return inputs, inputs[..., :0]

    def _find(self, seq: int) -> tuple[int, tuple[int, int, int], int]:
        """Return the first sample of its round, the part that holds it or comes next, and that one's end."""
        base = seq // self._ends[-1] * self._ends[-1]
        place = bisect_right(self._ends, seq - base)
        return base, self._parts[place], self._ends[place]
