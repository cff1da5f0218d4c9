"""A run that comes back after another goes on bit for bit, its weights included; also after a restart."""

from dataclasses import replace

import pytest

from predictor.daemon.core import Predictor
from predictor.state.checkpoint import decode, encode
from streamer.effects import Checkpoint, Send
from streamer.messages import Burst, Chunk, Info, Message
from tests.support.scene import Scene, golden
from tests.support.simulation import at

RUN, OTHER = 1, 2


def estimates(core: Predictor, messages: list[Message]) -> dict[int, list[tuple[int, bytes, int]]]:
    """What a core says of messages: by run, seq and bits and model version of each sample."""
    said: dict[int, list[tuple[int, bytes, int]]] = {RUN: [], OTHER: []}
    for message in messages:
        for effect in (*core.receive([message], at(0)), *core.catch_up(at(0))):
            if isinstance(effect, Send) and isinstance(effect.message, Chunk | Burst):
                chunks = [effect.message] if isinstance(effect.message, Chunk) else effect.message.chunks()
                for one in chunks:
                    said[one.run] += [
                        (one.seq + k, row.tobytes(), one.model_version) for k, row in enumerate(one.values)
                    ]
    return said


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("learn", [None, "target", "self"])
def test_a_run_that_comes_back_has_the_estimates_of_an_undisturbed_one(learn: str | None, restarts: bool) -> None:
    scene = Scene(learn=learn)
    first = [m for m in scene.messages(600) if not isinstance(m, Info)]
    second = [replace(m, run=OTHER) for m in Scene(seed=7, learn=learn).messages(200)]
    assert isinstance(second[-1], Info)
    assert second[-1].ended
    cut = len(first) // 2
    core = scene.core(checkpoint_every_s=1.0)
    said = estimates(core, [*first[:cut], *second])
    assert [seq for seq, *_ in said[OTHER]] == list(range(200))
    if restarts:
        states = [effect for effect in core.stop(at(1)) if isinstance(effect, Checkpoint)]
        core = scene.core(checkpoint_every_s=1.0)
        core.restore(decode(b"".join(encode(states[-1].head, states[-1].streams))), at(2))
    said[RUN] += estimates(core, [*first[cut:]])[RUN]
    if restarts:  # the end of the other run is not kept: it has to be silent
        for second_ in range(3, 9):
            said[RUN] += ticked(core, second_)
    wanted = golden(scene.core(), first)
    assert [seq for seq, *_ in said[RUN]] == wanted.seqs
    assert [bits for _, bits, _ in said[RUN]] == [row.tobytes() for row in wanted.estimates]
    assert [version for *_, version in said[RUN]] == wanted.model_versions


def ticked(core: Predictor, seconds: float) -> list[tuple[int, bytes, int]]:
    """What a core says at a moment."""
    said: list[tuple[int, bytes, int]] = []
    for effect in (*core.tick(at(seconds)), *core.catch_up(at(seconds))):
        if isinstance(effect, Send) and isinstance(effect.message, Chunk | Burst):
            message = effect.message
            for one in [message] if isinstance(message, Chunk) else message.chunks():
                said += [(one.seq + k, row.tobytes(), one.model_version) for k, row in enumerate(one.values)]
    return said
