"""Where a run ends: said once the source has said so, and ENDED once the estimates are there."""

import pytest

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.daemon.run_ends import REMEMBERED_RUNS, RunEnds
from predictor.state.checkpoint import decode, encode
from streamer.effects import Checkpoint, Reply
from streamer.messages import Info, Kind, Replay, Request, Status
from tests.support.lossy import WALL_NS
from tests.support.simulation import at, chunk, sent
from trainer.model import ModelConfig, new_model

MODEL = new_model(ModelConfig("gru", 4, level_samples=20.0), seed=2)


def info(next_seq: int, *, ended: bool, run: int = 1) -> Info:
    return Info("demo", run, next_seq, WALL_NS, 100.0, ("0",), ended=ended, replays=True)


def status(core: Predictor, seconds: float) -> tuple[object, object, int]:
    (said,) = [m for m in sent(core.tick(at(seconds))) if isinstance(m, Status) and m.stream]
    return said.body["health"], said.body["final_seq"], said.next_seq


def test_a_run_ends_with_its_last_estimate_and_not_with_its_source() -> None:
    core = Predictor(MODEL)
    list(core.receive([chunk(0, [0.1] * 10)], at(0)))
    assert status(core, 0) == ("LIVE", None, 10)
    list(core.receive([info(30, ended=True)], at(0.5)))
    assert status(core, 1) == ("LIVE", 30, 10)
    assert status(core, 2) == ("STALE", 30, 10)
    list(core.receive([chunk(10, [0.1] * 10)], at(3)))
    assert status(core, 3) == ("LIVE", 30, 20)
    list(core.receive([chunk(20, [0.1] * 10)], at(4)))
    assert status(core, 4) == ("ENDED", 30, 30)
    assert status(core, 3600) == ("ENDED", 30, 30)


def test_a_run_whose_tail_is_given_up_has_ended_with_a_gap_and_was_never_lost() -> None:
    core = Predictor(MODEL)
    list(core.receive([chunk(0, [0.1] * 10), info(30, ended=True)], at(0)))
    seen = [status(core, seconds)[0] for seconds in range(12)]
    assert "LOST" not in seen
    assert seen[-1] == "ENDED"
    assert (core.streams["demo"].counters.gaps, core.streams["demo"].counters.gap_samples) == (1, 20)
    wanted = Replay(Kind.ESTIMATE, "demo", 1, 10, 20)
    replies = [e for e in core.receive([Request(b"me", wanted)], at(12)) if isinstance(e, Reply)]
    assert [(one.message.seq, one.message.samples) for one in replies] == [(10, 20)]  # type: ignore[union-attr]


def test_a_run_that_goes_on_after_all_has_not_ended() -> None:
    core = Predictor(MODEL)
    list(core.receive([chunk(0, [0.1] * 10), info(10, ended=True)], at(0)))
    assert status(core, 0) == ("ENDED", 10, 10)
    list(core.receive([chunk(10, [0.1])], at(1)))
    assert status(core, 1) == ("LIVE", None, 11)
    list(core.receive([info(11, ended=False)], at(2)))
    assert status(core, 2)[1] is None


def test_the_next_run_has_an_end_of_its_own() -> None:
    core = Predictor(MODEL)
    list(core.receive([chunk(0, [0.1] * 10), info(10, ended=True)], at(0)))
    list(core.receive([chunk(0, [0.1] * 4, run=2)], at(10)))
    assert status(core, 10) == ("LIVE", None, 4)


def test_a_predictor_that_starts_again_knows_that_the_run_has_ended() -> None:
    core = Predictor(MODEL, PredictorConfig(checkpoint_every_s=1.0))
    list(core.receive([chunk(0, [0.1] * 10), info(10, ended=True)], at(0)))
    states = [e for s in (0, 2, 4) for e in core.tick(at(s)) if isinstance(e, Checkpoint)]
    again = Predictor(MODEL, PredictorConfig(checkpoint_every_s=1.0))
    again.restore(decode(b"".join(encode(states[-1].head, states[-1].streams))), at(100))
    assert status(again, 100) == ("ENDED", 10, 10)


@pytest.mark.parametrize("run", [1, REMEMBERED_RUNS + 5])
def test_only_some_ends_are_remembered(run: int) -> None:
    ends = RunEnds()
    for number in range(1, REMEMBERED_RUNS + 6):
        ends.note(number, number, ended=True)
    assert ends.final_seq(run, 0) == (None if run == 1 else run)
    assert ends.final_seq(None, 0) is None
