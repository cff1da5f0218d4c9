"""What one stream learns from, and when: its samples wait here for their targets."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from predictor.daemon.counters import Counters
from predictor.engine.stepper import Engine
from streamer.errors import FileError
from streamer.messages import Chunk, FloatArray
from trainer.labels import DEFAULT_CAPACITY, LabelBuffer, Window
from trainer.metrics import PrequentialRmse
from trainer.online.learner import Learner, Study, last_of
from trainer.selfsupervised.learner import SelfLearner
from trainer.state import Seq, Tree, subtree, value_of

LARGE = 2**31
HEAD_START = 1  # sample: who comes while an update is under way waits for a part of it, and not for all
LABEL_BYTES = 64 * 2**20  # a stream's samples that wait for targets take no more


class UpdateScheduler:
    """Joins samples with their targets, scores estimates, and learns from the one or from the signal itself.

    An update takes effect at a sample index: `HEAD_START` after the first sample not yet estimated when the last
    target of its window came, or at the first message after that. It is computed in parts before that sample
    arrives (`learn`), or at the latest when it does (`catch_up`).

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
        # Of windows that are complete: where the next one begins that is not; from which sample on they count.
        self._dues: deque[tuple[int, int]] = deque()
        self._update: _Update | None = None  # under way

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
        self._dues.clear()
        self._update = None
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
            "dues": [list(due) for due in self._dues],
            "learner": self.learner.state() if self.learner else None,
            "self_learner": self.self_learner.state() if self.self_learner else None,
        }

    def restore(self, tree: Tree, channels: int) -> None:
        """Go on from there, with a stream of so many channels."""
        self.rmse.restore(subtree(tree, "rmse"))
        self._labels = self._empty_labels(channels)
        self._labels.restore(subtree(tree, "labels"))
        self._learnt_to_seq = value_of(tree, "learnt_to_seq", Seq | None)
        self._dues = deque(_due(pair) for pair in value_of(tree, "dues", list))
        self._check_dues()
        self._update = None
        if self.learner is not None:
            self.learner.restore(subtree(tree, "learner"))
            if self.learner.hidden.shape[1] != channels:
                raise FileError("state: what is learnt from must be as wide as the stream")
            self._engine.load(self.learner.weights)
        if self.self_learner is not None:
            self.self_learner.restore(subtree(tree, "self_learner"))

    def _check_dues(self) -> None:
        """Raise FileError unless there are targets for all windows that are to be learnt."""
        labels, before, due = self._labels, self._labels.first_seq, 0
        if not before <= labels.complete_to <= labels.next_seq or (self._dues and self.learner is None):
            raise FileError(
                "state: targets must be those of samples that wait, and of a stream that learns from them"
            )
        for first, seq in self._dues:
            assert self.learner is not None
            config = self.learner.config
            rises = first > before and (first - before) % config.stride_samples == 0 and seq >= due
            complete = first - config.stride_samples + config.window_samples <= labels.complete_to
            if not rises or not complete or seq > labels.next_seq + HEAD_START:
                raise FileError(f"state: no windows of complete samples end at {first} and count from {seq} on")
            before, due = first, seq

    # What is learnt

    @property
    def room(self) -> int:
        """Samples that can be answered before something is to be learnt from them."""
        return self.self_learner.room if self.self_learner is not None else LARGE

    @property
    def slack(self) -> int:
        """Samples without targets that can be answered before something is to be learnt, or may become so."""
        if self.learner is None:
            return LARGE
        room = self._next_window + self.learner.config.window_samples + self._labels.capacity - self.next_seq
        return min(room, self._dues[0][1] - self.next_seq) if self._dues else room

    @property
    def _next_window(self) -> int:
        """Where the next window begins that is not complete."""
        return self._dues[-1][0] if self._dues else self._labels.first_seq

    def serve(self, inputs: FloatArray, modelled: FloatArray) -> FloatArray:
        """Return what is published for inputs [samples, channels], given the model's estimates."""
        return self.self_learner.answer(inputs, modelled) if self.self_learner else modelled

    def keep(self, inputs: FloatArray, estimates: FloatArray) -> None:
        """Keep what has been answered until its targets come."""
        self._labels.add(inputs, estimates)
        self._settle_labels()

    def teach(self, chunk: Chunk, skip: int = 0) -> None:
        """Join a target chunk, without the first `skip`, to its samples, and score the estimates made for them."""
        estimates, targets = self._labels.label(chunk.seq + skip, chunk.values[skip:])
        self.rmse.add(estimates[..., 0], targets[..., 0])
        self._settle_labels()

    def _settle_labels(self) -> None:
        """See what is complete now, or let it go where only scores are wanted."""
        if self.learner is None:
            self._labels.drop_matured()
            return
        config, first = self.learner.config, self._next_window
        beyond = self._labels.complete_to - first - config.window_samples
        if beyond >= 0:
            first += (beyond // config.stride_samples + 1) * config.stride_samples
            self._dues.append((first, self.next_seq + HEAD_START))

    def learn(self) -> bool:
        """Do a part of what is to be learnt, the last one if it may take effect; return whether any was done."""
        if self.self_learner is not None and self.self_learner.learn():
            self._counters.updates = self.self_learner.refits
            return True
        return bool(self._dues) and self._learn(effective=self._dues[0][1] <= self.next_seq)

    def catching_up(self) -> Iterator[None]:
        """Have everything take effect that is due before the next sample, part by part."""
        while self._dues and self._dues[0][1] <= self.next_seq:
            self._learn(effective=True)
            yield
        if self.self_learner is not None:
            while self.learn():
                yield

    def catch_up(self) -> None:
        """Have everything take effect that is due before the next sample."""
        for _ in self.catching_up():
            pass

    def learn_all(self) -> None:
        """Learn whatever is complete, and have it take effect now: nothing goes on from here."""
        while self._dues:
            self._learn(effective=True)
        self.catch_up()

    def _learn(self, *, effective: bool) -> bool:
        """Do a part of the oldest due, the last one only if it may take effect; return whether any was done."""
        if self._update is None:
            assert self.learner is not None
            window = self._labels.window(self.learner.config.window_samples)
            self._update = _Update(window, self.learner.study(window))
        if not self._update.last:
            self._update.last = next(self._update.study)
        elif effective:
            self._take_effect(self._update)
        else:
            return False
        return True

    def _take_effect(self, update: "_Update") -> None:
        self._update = None
        assert self.learner is not None
        self._labels.advance(self.learner.config.stride_samples)
        if self._labels.first_seq >= self._dues[0][0]:
            self._dues.popleft()
        weights = last_of(update.study)
        if weights is not None:
            self._engine.load(weights)
            self._counters.updates += 1
            self._learnt_to_seq = update.window.seq + len(update.window.inputs)

    def adopt(self, engine: Engine, learner: Learner | None, state: FloatArray, *, same_shape: bool) -> None:
        """Go on with another model; `learner` starts from its weights, and `state` is the stream's.

        What waits for its target waits on where the shape is the same, and is let go where it is not.
        """
        self.catch_up()  # with the model that they were due for
        self._engine = engine
        self._update = None
        if learner is not None and self.learner is not None:
            if same_shape:
                learner.restart(self.learner.hidden)
            else:
                self._labels.restart(self._labels.next_seq)
                self._dues.clear()
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


@dataclass(slots=True)
class _Update:
    """One that is being learnt, part by part."""

    window: Window
    study: Study
    last: bool = False  # part only is left


def _due(pair: Any) -> tuple[int, int]:
    if not isinstance(pair, list) or len(pair) != 2 or not all(type(seq) is int for seq in pair):
        raise FileError(f"state: dues must be pairs of sample indices, got {str(pair)[:60]}")
    return pair[0], pair[1]
