"""Many small chunks as few large ones: a thousand messages a second cost no more than ten."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from streamer.messages import Chunk


def coalesce(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Join chunks of one kind and run wherever one begins at the sample the last ended at.

    A joined chunk has the model version of its first part.
    """
    parts: list[Chunk] = []
    for chunk in chunks:
        if parts and not _follows(parts[-1], chunk):
            yield _joined(parts)
            parts = []
        parts.append(chunk)
    if parts:
        yield _joined(parts)


def _follows(before: Chunk, after: Chunk) -> bool:
    return before.end_seq == after.seq and before.values.shape[1:] == after.values.shape[1:]


def _joined(parts: list[Chunk]) -> Chunk:
    if len(parts) == 1:
        return parts[0]
    return replace(parts[0], values=np.concatenate([part.values for part in parts]))
