"""A predictor of each kind of learning, what its sources say, and the state it leaves."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.state import checkpoint
from streamer.effects import Checkpoint
from streamer.messages import Chunk, Info, Kind
from tests.support.simulation import at, chunk, sent
from trainer.model import Model, ModelConfig, new_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner
from trainer.selfsupervised.learner import SelfConfig
from trainer.state import Tree

SAMPLES = 600
SELF_SAMPLES = 5200  # a band is found after 2,048


def model(cell: str) -> Model:
    level_samples = 0.0 if cell == "gated" else 20.0  # it has levels of its own
    made = new_model(ModelConfig(cell, 6, level_samples=level_samples), seed=2)
    # Not `new`, or nobody would judge whether a signal is familiar.
    return Model("mine", made.config, made.weights, {"recipe": "general"})


def targets_learnt(a_model: Model) -> OnlineLearner:
    return OnlineLearner(a_model, OnlineConfig(window_samples=12, stride_samples=7))


def core_of(cell: str, learning: str, nominal_hz: float | None) -> Predictor:
    return Predictor(
        model(cell),
        PredictorConfig(nominal_hz=nominal_hz, checkpoint_every_s=5.0),
        targets_learnt if learning == "target" else None,
        {"self": SelfConfig(), "band": SelfConfig((3.3, 4.8))}.get(learning),
    )


def spoken(stream: str, channels: int, samples: int, seed: int, *, run: int = 1) -> list[Chunk | Info]:
    """Inputs of 4 Hz in noise, cut anyhow, and their targets some samples later; a few lost, twice or NaN."""
    generator = np.random.default_rng(seed)
    phase = 0.25 * np.arange(samples)[:, None] + generator.uniform(0, 6, channels)
    inputs = np.sin(phase) + 0.1 * generator.standard_normal(phase.shape)
    messages: list[Chunk | Info] = []
    first, told = 0, 0
    while first < samples:
        end = first + int(generator.integers(1, 9))
        piece = replace(chunk(first, inputs[first:end], stream=stream, run=run), tally=told)
        if generator.random() < 0.02:
            piece.values[0] = np.nan
        messages += [piece] * {12: 2, 40: 0}.get(first // 5, 1)
        if first - told > 20:
            target = chunk(told, np.cos(phase[told:end]), kind=Kind.TARGET, stream=stream, run=run)
            messages.append(replace(target, tally=end))
            told = end
            # It cannot be asked again: a gap is one at once.
            messages.append(
                Info(stream, run, end, target.time_ns, 100.0, ("x",) * channels, ("cos",), 0, False, None, told)
            )
        first = end
    return messages


@cache
def messages_of(samples: int) -> list[Chunk | Info]:
    """What two sources say in turn; one of them starts again in between."""
    half = samples // 2
    left = [
        spoken("a", 1, half, seed=1) + spoken("a", 1, half, seed=2, run=7),
        spoken("b", 2, samples, seed=3),
    ]
    generator = np.random.default_rng(4)
    mixed: list[Chunk | Info] = []
    while any(left):
        which = left[int(generator.integers(2))]
        mixed += which[:1]
        del which[:1]
    return mixed


Said = list[tuple[str, int, int, int, int, bytes]]


def said_of(core: Predictor, messages: Sequence[Chunk | Info], *, idle: bool = False) -> Said:
    """Everything about the estimates that `messages` get."""
    told: Said = []
    for message in messages:
        told += [
            (m.stream, m.run, m.seq, m.model_version, m.time_ns, m.values.tobytes())
            for m in sent([*core.receive([message], at(0)), *core.catch_up(at(0))])
            if isinstance(m, Chunk)
        ]
        while idle and core.work() is not None:
            pass
    return told


def kept(core: Predictor) -> bytes:
    """The file that a predictor would leave if it were stopped now."""
    (effect,) = [effect for effect in core.stop(at(0)) if isinstance(effect, Checkpoint)]
    return b"".join(checkpoint.encode(effect.head, effect.streams))


def content_of(tree: Tree) -> bytes:
    """A tree's file; its streams, if it has any, packed."""
    head = {key: value for key, value in tree.items() if key != "streams"}
    streams = tree.get("streams", [])
    packed = [checkpoint.pack(stream, f"s{number}") for number, stream in enumerate(streams)]
    return b"".join(checkpoint.encode(head, packed))
