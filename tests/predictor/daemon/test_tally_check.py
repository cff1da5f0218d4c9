"""Tallies that cannot be true are called that, and no loss."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from predictor.api.settings import choose_learning
from predictor.daemon.core import Predictor
from streamer.effects import Ask, Effect, Say, Send
from streamer.messages import Chunk, Gone, Info, Kind
from tests.support.simulation import WALL_NS, at
from trainer.model import ModelConfig, new_model

Tally = Callable[[int], int]


def sample(kind: Kind, seq: int, tally: int) -> Chunk:
    values = np.full((1, 1, 1), np.sin(seq / 5), np.float32)
    return Chunk(kind, "mine", 1, seq, WALL_NS + seq * 10_000_000, 100.0, values, 0, tally)


def run(
    of_inputs: Tally, of_targets: Tally, *, targets: bool = True, fields: tuple[str, ...] | None = None,
    lost: range = range(0),
) -> tuple[int, list[str], Predictor]:  # fmt: skip
    """Estimates, lines of the log and the core, where a source of 1,000 samples answers for what it never had."""
    core = Predictor(new_model(ModelConfig(), seed=0), None, choose_learning("target").make_learner)
    fields = fields if fields is not None else ("cos",) if targets else ()
    lines: list[str] = []
    estimates = 0

    def heed(effects: Iterable[Effect], now_s: float) -> None:
        nonlocal estimates
        for effect in list(effects):
            match effect:
                case Say(text):
                    lines.append(text)
                case Send(Chunk()):
                    estimates += 1
                case Ask(asked) if asked.kind is Kind.TARGET and (not targets or asked.seq in lost):
                    gone = Gone(asked.kind, asked.stream, asked.run, asked.seq, asked.samples)
                    heed(core.receive([gone], at(now_s)), now_s)

    tick_s = 0.0
    for seq in range(1000):
        messages: list[Chunk | Info] = []
        if seq % 100 == 0:
            known, now_ns = seq if targets else 0, WALL_NS + seq * 10_000_000
            messages.append(
                Info("mine", 1, seq, now_ns, 100.0, ("0",), fields, next_target_seq=known, replays=True)
            )
        messages.append(sample(Kind.INPUT, seq, of_inputs(seq)))
        if targets and seq not in lost:
            messages.append(sample(Kind.TARGET, seq, of_targets(seq)))
        for message in messages:
            heed(core.receive([message], at(seq / 100)), seq / 100)
        while tick_s <= seq / 100:
            heed(core.tick(at(tick_s)), tick_s)
            tick_s += 0.05
    return estimates, lines, core


@pytest.mark.parametrize(
    ("of_inputs", "of_targets"),
    [
        (lambda seq: seq + 1, lambda seq: seq + 1),
        (lambda seq: seq + 2, lambda seq: seq + 2),
        (lambda seq: seq + 100, lambda seq: seq + 1),
    ],
    ids=["each after the other", "both ahead", "inputs far ahead"],
)
def test_those_that_contradict_each_other_are_said_once(of_inputs: Tally, of_targets: Tally) -> None:
    estimates, lines, core = run(of_inputs, of_targets)
    assert estimates == 1000
    assert len([line for line in lines if "contradict each other" in line]) == 1
    assert not [line for line in lines if "GAP" in line]
    assert core.streams["mine"].counters.target_gaps == 0


@pytest.mark.parametrize("fields", [(), ("cos",)])
def test_targets_that_a_source_never_had_are_no_loss(fields: tuple[str, ...]) -> None:
    estimates, lines, core = run(lambda seq: seq, lambda _: 0, targets=False, fields=fields)
    assert estimates == 1000
    (line,) = [line for line in lines if "contradict" in line]
    assert "inputs say that " in line
    assert "targets were published before them, and the source's info (next_target_seq) that 0 were" in line
    gaps = core.streams["mine"].counters.target_gap_samples
    assert gaps <= 100  # those before the info that says so


@pytest.mark.parametrize("tally", [lambda seq: (seq, seq + 1), lambda _: (0, 0)], ids=["right", "none"])
def test_right_ones_and_none_are_not_doubted(tally: Callable[[int], tuple[int, int]]) -> None:
    _, lines, _ = run(lambda seq: tally(seq)[0], lambda seq: tally(seq)[1])
    assert not [line for line in lines if "tall" in line or "GAP" in line]


def test_loss_is_loss() -> None:
    _, lines, core = run(lambda seq: seq, lambda seq: seq + 1, lost=range(340, 360))
    assert core.streams["mine"].counters.target_gap_samples == 20
    assert not [line for line in lines if "tall" in line]
    assert any("GAP: targets" in line for line in lines)
