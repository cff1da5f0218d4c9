"""`--memory` is shared out once: the parts never come to more than the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import memory
from streamer.errors import UsageError


@given(st.integers(memory.MIN_BYTES, 2**45), st.integers(0, 2**44))
def test_the_parts_come_to_no_more_than_the_whole(memory_bytes: int, kept: int) -> None:
    kept = min(kept, memory_bytes // 2)
    memory.check(memory_bytes, {"--retain-mb": kept})
    parts = memory.QUEUES_AND_PROGRAM * memory.queue_bytes(memory_bytes) + kept
    assert parts + memory.state_bytes(memory_bytes, kept) == memory_bytes
    assert memory.state_bytes(memory_bytes, kept) > 0


@pytest.mark.parametrize(
    ("memory_mb", "kept_mb", "error"),
    [
        (15, {"--retain-mb": 1}, "--memory: must be 16 to 1e"),
        (float("nan"), {"--retain-mb": 1}, "--memory: must be"),
        (1024, {"--hold-mb": 8, "--retain-mb": 600}, "--hold-mb 8, --retain-mb 600: together at most half of"),
        (
            64,
            {"--retain-mb": 64},
            "--retain-mb 64: at most half of --memory (64 MB) may be kept; give --memory 128",
        ),
    ],
)
def test_what_does_not_fit_is_said_at_the_start(memory_mb: float, kept_mb: dict[str, int], error: str) -> None:
    with pytest.raises(UsageError) as raised:
        memory.check(memory_mb * memory.MB, {flag: size * memory.MB for flag, size in kept_mb.items()})  # type: ignore[arg-type]
    assert error in str(raised.value)
