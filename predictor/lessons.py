"""What one stream learns from, and when: its samples wait here for their targets."""

from predictor.counters import Counters
from predictor.engine import Engine
from streamer.messages import Chunk, FloatArray
from trainer.labels import DEFAULT_CAPACITY, LabelBuffer
from trainer.learner import Learner
from trainer.metrics import PrequentialRmse
from trainer.selflearner import SelfLearner
from trainer.state import Tree, subtree, value_of

LARGE = 2**31
LABEL_BYTES = 64 * 2**20  # a stream's samples that wait for targets take no more


class Lessons:
    """Joins samples with their targets, scores estimates, and learns from the one or from the signal itself.

    An update takes effect at a sample index: the first one not yet estimated when the last target of its window
    came. It may be computed earlier than that sample arrives (`learn`), never later (`learn_all`).

    Parameters
    ----------
    engine : Engine
        Whose weights are learnt; the stream's own where `learner` is given.
    fields : int
        Of an estimate.
    learner : Learner or None
        Learns from targets.
    self_learner : SelfLearner or None
        Learns on the signal itself.
    counters : Counters
        Of the stream; `updates` is kept here.
    """

    def __init__(
        self,
        engine: Engine,
        fields: int,
        learner: Learner | None,
        self_learner: SelfLearner | None,
        counters: Counters,
    ) -> None:
        self.learner = learner
        self.self_learner = self_learner
        self.learns = learner is not None or self_learner is not None
        self.rmse = PrequentialRmse()
        self._engine = engine
        self._fields = fields
        self._counters = counters
        self._learnt_to_seq: int | None = None
        self._labels = LabelBuffer(0, fields)

    # Where the stream is

    def begin(self, state: FloatArray, seq: int, rate_hz: float) -> None:
        """Begin a run at sample `seq` from the hidden state [rows, channels]."""
        channels = state.shape[1]
        self._labels = self._empty_labels(channels)
        self._learnt_to_seq = None
        self._resume(state, seq)
        if self.self_learner is not None:
            self.self_learner.restart(channels, rate_hz, seq)

    def _empty_labels(self, channels: int) -> LabelBuffer:
        row_bytes = 4 * max(channels, 1) * (1 + 2 * self._fields)
        capacity = min(DEFAULT_CAPACITY, LABEL_BYTES // row_bytes)
        if self.learner is not None:
            capacity = max(capacity, self.learner.config.window_samples)
        return LabelBuffer(channels, self._fields, capacity)

    def skip(self, state: FloatArray, seq: int) -> None:
        """Go on at sample `seq` after a gap."""
        self._resume(state, seq)
        if self.self_learner is not None:
            self.self_learner.resume(seq)

    def _resume(self, state: FloatArray, seq: int) -> None:
        self._labels.restart(seq)
        if self.learner is not None:
            self.learner.restart(state)

    @property
    def next_seq(self) -> int:
        """One past the last sample kept."""
        return self._labels.next_seq

    @property
    def stand(self) -> tuple[int, ...]:
        """What differs whenever anything was kept, taught or learnt."""
        return (*self._labels.stand, self._counters.updates)

    def state(self) -> Tree:
        """Return what `restore` takes."""
        return {
            "rmse": self.rmse.state(),
            "labels": self._labels.state(),
            "learnt_to_seq": self._learnt_to_seq,
            "learner": self.learner.state() if self.learner else None,
            "self_learner": self.self_learner.state() if self.self_learner else None,
        }

    def restore(self, tree: Tree, channels: int) -> None:
        """Go on from there, with a stream of so many channels."""
        self.rmse.restore(subtree(tree, "rmse"))
        self._labels = self._empty_labels(channels)
        self._labels.restore(subtree(tree, "labels"))
        self._learnt_to_seq = value_of(tree, "learnt_to_seq", int | None)
        if self.learner is not None:
            self.learner.restore(subtree(tree, "learner"))
            self._engine.load(self.learner.weights)
        if self.self_learner is not None:
            self.self_learner.restore(subtree(tree, "self_learner"))

    # What is learnt

    @property
    def room(self) -> int:
        """Samples that can be answered before something is to be learnt from them."""
        return self.self_learner.room if self.self_learner is not None else LARGE

    @property
    def slack(self) -> int:
        """Samples without targets that can be answered before something is to be learnt from them."""
        return LARGE if self.learner is None else self._labels.slack

    def serve(self, inputs: FloatArray, modelled: FloatArray) -> FloatArray:
        """Return what is published for inputs [samples, channels], given the model's estimates."""
        return self.self_learner.answer(inputs, modelled) if self.self_learner else modelled

    def keep(self, inputs: FloatArray, estimates: FloatArray) -> None:
        """Keep what has been answered until its targets come."""
        self._labels.add(inputs, estimates)
        if self.learner is None:
            self._labels.drop_matured()

    def teach(self, chunk: Chunk, skip: int = 0) -> None:
        """Join a target chunk, without the first `skip`, to its samples, and score the estimates made for them."""
        estimates, targets = self._labels.label(chunk.seq + skip, chunk.values[skip:])
        self.rmse.add(estimates[..., 0], targets[..., 0])
        if self.learner is None:
            self._labels.drop_matured()

    def learn(self) -> bool:
        """Learn what is due, a step of it; return whether anything was."""
        if self.self_learner is not None and self.self_learner.learn():
            self._counters.updates = self.self_learner.refits
            return True
        if self.learner is None:
            return False
        window = self._labels.window(self.learner.config.window_samples)
        if window is None:
            return False
        self._labels.advance(self.learner.config.stride_samples)
        weights = self.learner.learn(window)
        if weights is not None:
            self._engine.load(weights)
            self._counters.updates += 1
            self._learnt_to_seq = window.seq + len(window.inputs)
        return True

    def learn_all(self) -> None:
        """Learn what is due before the next sample."""
        while self.learn():
            pass

    def adopt(self, engine: Engine, learner: Learner | None, state: FloatArray, *, same_shape: bool) -> None:
        """Go on with another model; `learner` starts from its weights, and `state` is the stream's.

        What waits for its target waits on where the shape is the same, and is let go where it is not.
        """
        self._engine = engine
        if learner is not None and self.learner is not None:
            if same_shape:
                learner.restart(self.learner.hidden)
            else:
                self._labels.restart(self._labels.next_seq)
                learner.restart(state)
        self.learner = learner

    # What is said of it

    def news(self) -> list[str]:
        """Return what the operator is to hear of the learning."""
        return self.self_learner.news() if self.self_learner is not None else []

    def status(self) -> dict[str, object] | None:
        """Return the member `learning` of the stream's status."""
        if self.self_learner is not None:
            return self.self_learner.status()
        if self.learner is None:
            return None
        return {
            "method": "target",
            "window": self.learner.config.window_samples,
            "stride": self.learner.config.stride_samples,
            "updates": self._counters.updates,
            "skipped": self.learner.skipped,
            "loss": self.learner.loss,
            "waiting_samples": len(self._labels),
            "late_targets": self._labels.unmatched,
            "learnt_to_seq": self._learnt_to_seq,
        }
