"""A source and a predictor twice: as options of the commands, and as the cores that say what must come out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from predictor.api.settings import choose_learning, choose_model
from predictor.daemon.core import Predictor, PredictorConfig
from streamer.effects import Send
from streamer.messages import Burst, Chunk, FloatArray, Gone, Info, Kind, Message
from streamer.source.signals import Signal
from tests.support.ear import Ear, Said, values
from tests.support.simulation import at, published

Missing = tuple[Kind, range]


@dataclass(frozen=True, slots=True)
class Golden:
    """What an undisturbed predictor says of each sample."""

    seqs: list[int]
    estimates: FloatArray
    model_versions: list[int]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is published, and what is made of it."""

    rate_hz: float = 500.0
    channels: int = 1
    noise: float = 0.1
    seed: int = 0
    chunk: int = 1
    target_delay: int = 0
    targets: bool = True
    model: str = "new"
    learn: str | None = None
    reset_on_gap: bool = False

    # As options

    def source(self) -> list[object]:
        """Options of `sincos source`."""
        return [
            "--rate", self.rate_hz, "--channels", self.channels, "--noise", self.noise, "--seed", self.seed,
            "--chunk", self.chunk, "--target-delay", self.target_delay,
            *([] if self.targets else ["--no-targets"]),
        ]  # fmt: skip

    def predict(self) -> list[object]:
        """Options of `sincos predict`."""
        learn = ["--learn", self.learn] if self.learn else []
        return ["--model", self.model, *learn, *(["--on-gap", "reset"] if self.reset_on_gap else [])]

    # As cores

    def core(self, checkpoint_every_s: float | None = None) -> Predictor:
        """A predictor's core with the same options."""
        learning = choose_learning(self.learn)
        config = PredictorConfig(reset_on_gap=self.reset_on_gap, checkpoint_every_s=checkpoint_every_s)
        model = choose_model(self.model, {"cell": None, "hidden": None, "layers": None}, None)
        return Predictor(model, config, learning.make_learner, learning.self_config)

    def messages(self, count: int) -> list[Message]:
        """Everything a source says of its first `count` samples."""
        signal = Signal(rate_hz=self.rate_hz, channels=self.channels, noise=self.noise, seed=self.seed)
        return published(
            signal, count, chunk=self.chunk, target_delay_samples=self.target_delay, targets=self.targets
        )

    def golden(self, count: int, missing: Iterable[Missing] = ()) -> Golden:
        """What comes of `count` samples in order, without those that are missing."""
        said = (message for message in self.messages(count) if not isinstance(message, Info))
        return golden(self.core(), without(said, missing))


def golden(core: Predictor, messages: Iterable[Message | Gone]) -> Golden:
    """What a core says of messages in order."""
    seqs: list[int] = []
    pieces: list[FloatArray] = []
    versions: list[int] = []
    for message in messages:
        for effect in (*core.receive([message], at(0)), *core.catch_up(at(0))):
            if not isinstance(effect, Send) or not isinstance(effect.message, Chunk | Burst):
                continue
            chunk = effect.message.chunk if isinstance(effect.message, Burst) else effect.message
            seqs += range(chunk.seq, chunk.end_seq)
            pieces.append(chunk.values)
            versions += [chunk.model_version] * len(chunk.values)
    return Golden(seqs, np.concatenate(pieces), versions)


def without(messages: Iterable[Message], missing: Iterable[Missing]) -> list[Message | Gone]:
    """Leave out what is missing; it is said to be gone once something later of its kind shows that it is."""
    gaps = list(missing)
    left: list[Message | Gone] = []
    for message in messages:
        if not isinstance(message, Chunk):
            continue
        of_its_kind = [gap for kind, gap in gaps if kind is message.kind and gap]
        if not any(message.seq in gap for gap in of_its_kind):
            left.append(message)
        ended = (gap for gap in of_its_kind if message.seq == gap.stop)
        left += (Gone(message.kind, message.stream, message.run, gap.start, len(gap)) for gap in ended)
    return left


def must_equal(heard: dict[int, Said], wanted: Golden, channels: int = 1) -> None:
    """Fail unless exactly the wanted samples were heard, each with the wanted bits."""
    seqs = sorted(heard)
    strays = sorted(set(seqs) ^ set(wanted.seqs))
    assert not strays, f"{len(strays)} samples heard or wanted but not both, from {strays[0]} to {strays[-1]}"
    estimates = values(heard, channels)
    differ = np.flatnonzero((_bits(estimates) != _bits(wanted.estimates)).any(axis=(1, 2)))
    assert not len(differ), f"{len(differ)} estimates differ, the first at {seqs[differ[0]]}"
    versions = [heard[seq].model_version for seq in seqs]
    assert versions == wanted.model_versions


def must_keep_the_promise(ear: Ear, scene: Scene, count: int, missing: Sequence[Missing] = ()) -> None:
    """Fail unless every sample before `count` had one estimate, the golden one, or is known to be missing."""
    heard = {seq: said for seq, said in ear.heard().items() if seq < count}
    assert not ear.contradictions, f"said again otherwise: {ear.contradictions[:5]}"
    must_equal(heard, scene.golden(count, missing), scene.channels)


def _bits(numbers: FloatArray) -> np.ndarray:
    return np.ascontiguousarray(numbers).view(np.uint32)
