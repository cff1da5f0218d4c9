"""Messages as JSON lines: strict JSON, one line a sample.

Written by hand for samples, because it is what `sincos listen` spends its time on; every part that goes in
(names from `FIELDS`, stream names of `wire.STREAM_NAME`, numbers) is plain ASCII that needs no escaping.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from predictor.phase import in_phase_of, phase_and_amplitude
from streamer.messages import FIELDS, Chunk, FloatArray, Info, Kind, Status
from streamer.wire import codec


def sample_lines(chunk: Chunk, phases: Sequence[str] | None = None) -> Iterator[str]:
    """Yield a line for each sample of `chunk`, with the members of its phase where they are given."""
    for seq, time_ns, text in sample_texts(chunk, prefixed=False, phases=phases):
        yield f"{{{head(chunk.stream, chunk.run, seq, time_ns)}, {text}}}"


def head(stream: str, run: int, seq: int, time_ns: int) -> str:
    """Return the members that name a sample. 64-bit ids do not survive as JSON numbers: `run` is a string."""
    return f'"stream": "{stream}", "run": "{run:016x}", "seq": {seq}, "time_ns": {time_ns}'


def sample_texts(
    chunk: Chunk, *, prefixed: bool, phases: Sequence[str] | None = None
) -> Iterator[tuple[int, int, str]]:
    """Yield seq, source time and the members that hold the values, for each sample of `chunk`.

    Parameters
    ----------
    prefixed : bool
        Name fields past the first ``estimate_sin``, so that several kinds fit one line; else ``sin``.
    phases : sequence of str or None
        Of each sample, members to append.
    """
    names = [_member(chunk.kind, field, prefixed) for field in range(chunk.values.shape[2])]
    tail = f', "model_version": {chunk.model_version}' if chunk.kind is Kind.ESTIMATE else ""
    finite = bool(np.isfinite(chunk.values).all())
    for offset, sample in enumerate(chunk.values):
        columns = [_numbers(sample[:, field], finite) for field in range(len(names))]
        members = [f"{name}: [{column}]" for name, column in zip(names, columns, strict=True)]
        text = ", ".join(members) + tail
        yield chunk.seq + offset, chunk.sample_time_ns(offset), f"{text}, {phases[offset]}" if phases else text


def has_phase(chunk: Chunk) -> bool:
    """Return whether a chunk is of estimates whose phase needs no input."""
    return chunk.kind is Kind.ESTIMATE and chunk.values.shape[2] > 1


def own_phases(chunk: Chunk) -> list[str] | None:
    """Return the phase of each sample, as `phase_texts`; None where it needs the input, or is none."""
    return phase_texts(chunk.values, chunk.values[..., 0]) if has_phase(chunk) else None


def phase_texts(estimates: FloatArray, inputs: FloatArray) -> list[str]:
    """Return the members with phase and amplitude of each sample.

    Parameters
    ----------
    estimates : float32 array, shape (samples, channels, fields)
    inputs : float32 array, shape (samples, channels)
        Stand for the second field where there is none.
    """
    phases_deg, amplitudes = phase_and_amplitude(estimates[..., 0], in_phase_of(estimates, inputs))
    finite = bool(np.isfinite(phases_deg).all() and np.isfinite(amplitudes).all())
    return [
        f'"phase_deg": [{_numbers(phase_deg, finite)}], "amplitude": [{_numbers(amplitude, finite)}]'
        for phase_deg, amplitude in zip(phases_deg, amplitudes, strict=True)
    ]


NO_PHASE = '"phase_deg": null, "amplitude": null'
"""The members of a sample whose phase cannot be told."""


def missing_text(kind: Kind) -> str:
    """Return the members of a sample's part that never came."""
    return f'"{kind.word}": null' + (', "model_version": null' if kind is Kind.ESTIMATE else "")


def gap_line(stream: str, run: int, kind: Kind, seq: int, samples: int) -> str:
    """Return the line of samples that did not come and cannot be had."""
    where = f'"stream": "{stream}", "run": "{run:016x}"'
    return f'{{{where}, "gap": "{kind.word}", "seq": {seq}, "samples": {samples}}}'


def _member(kind: Kind, field: int, prefixed: bool) -> str:
    if field == 0:
        return f'"{kind.word}"'
    name = FIELDS[field] if field < len(FIELDS) else f"field{field}"
    return f'"{kind.word}_{name}"' if prefixed else f'"{name}"'


def _numbers(values: FloatArray, finite: bool) -> str:
    # NumPy's str of a float32 is the shortest text that reads back as the same float32, and valid JSON.
    if finite:
        return ", ".join(map(str, values))
    return ", ".join(str(value) if np.isfinite(value) else "null" for value in values)


def report_line(message: Info | Status) -> str:
    """Return the line of an info or status. What the header says goes before what the body repeats."""
    named: dict[str, Any] = {
        "stream": message.stream,
        "run": f"{message.run:016x}",
        "next_seq": message.next_seq,
        "time_ns": message.time_ns,
    }
    body = codec.info_body(message) if isinstance(message, Info) else message.body
    return json.dumps(named | dict(body) | named, allow_nan=False)
