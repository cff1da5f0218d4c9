"""When a daemon's state is taken and written, on a fake clock."""

from collections.abc import Iterable

import numpy as np
import pytest

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.state.checkpoint import decode, encode
from predictor.state.checkpoint_schedule import STREAMS_AT_ONCE
from streamer.effects import Checkpoint, Effect
from streamer.errors import FileError, StateError, UsageError
from streamer.messages import Recorded, Written
from tests.support.sameness import differences
from tests.support.simulation import answer, at, chunk, said
from trainer.model import Model, ModelConfig, new_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner
from trainer.selfsupervised.learner import SelfConfig
from trainer.state import Tree

EVERY_S = 5.0


def model(seed: int = 2, cell: str = "rnn", hidden: int = 4, fields: tuple[str, ...] = ("cos", "sin")) -> Model:
    config = ModelConfig(cell, hidden, fields=fields, level_samples=20.0)
    return Model("mine", config, new_model(config, seed).weights, {"recipe": "general"})


def predictor(a_model: Model | None = None, **options: object) -> Predictor:
    nominal_hz = options.pop("nominal_hz", None)
    config = PredictorConfig(checkpoint_every_s=EVERY_S, nominal_hz=nominal_hz)  # type: ignore[arg-type]
    return Predictor(a_model or model(), config, **options)  # type: ignore[arg-type]


def learner(a_model: Model) -> OnlineLearner:
    return OnlineLearner(a_model, OnlineConfig())


def kept(effects: Iterable[Effect]) -> list[Tree]:
    states = [effect for effect in effects if isinstance(effect, Checkpoint)]
    return [decode(b"".join(encode(state.head, state.streams))) for state in states]


def ticked(core: Predictor, seconds: float) -> list[Tree]:
    """Let the clock run, tick by tick; return the states that were to be written."""
    trees: list[Tree] = []
    while True:
        deadline_ns = core.next_deadline_ns()
        if deadline_ns > seconds * 1e9:
            return trees
        trees += kept(core.tick(at(deadline_ns / 1e9)))


def hear(core: Predictor, seq: int, seconds: float = 0.0, stream: str = "demo") -> None:
    assert len(answer(core, [chunk(seq, [0.5], stream=stream)], seconds)) == 1


def written(core: Predictor, seconds: float, error: str | None = None) -> list[str]:
    return said(core.receive([Written(None if error else 1, error)], at(seconds)))


def told(core: Predictor, seconds: float) -> dict[str, object]:
    return dict(core.status(at(seconds)).body["checkpoint"])


def test_a_first_state_is_kept_soon_after_the_first_run_is_known_and_then_every_so_often() -> None:
    core = predictor()
    assert ticked(core, 2.0) == []
    hear(core, 0, 2.0)
    (first,) = ticked(core, 2.2)
    assert [stream["name"] for stream in first["streams"]] == ["demo"]
    assert written(core, 2.3) == []
    hear(core, 1, 3.0)
    assert ticked(core, 6.9) == []
    assert len(ticked(core, 7.2)) == 1


def test_nothing_is_written_while_nothing_happens() -> None:
    core = predictor()
    hear(core, 0)
    assert len(ticked(core, 1.0)) == 1
    written(core, 1.0)
    assert ticked(core, 60.0) == []
    hear(core, 1, 60.0)
    assert len(ticked(core, 66.0)) == 1


def test_one_is_written_at_a_time() -> None:
    core = predictor()
    hear(core, 0)
    assert len(ticked(core, 0.2)) == 1
    for second in range(1, 30):
        hear(core, second, second)
        assert ticked(core, second + 0.9) == []
    written(core, 30.0)
    assert len(ticked(core, 36.0)) == 1


def test_a_tick_takes_few_streams_and_a_state_has_all_of_them() -> None:
    core = predictor()
    names = [f"s{number}" for number in range(3 * STREAMS_AT_ONCE + 1)]
    for name in names:
        hear(core, 0, 0.0, name)
    assert [len(kept(core.tick(at(0.02 * number)))) for number in range(4)] == [0, 0, 0, 1]
    core = predictor()
    for name in names:
        hear(core, 0, 0.0, name)
    (tree,) = ticked(core, 1.0)
    assert sorted(stream["name"] for stream in tree["streams"]) == sorted(names)
    written(core, 1.0)
    hear(core, 1, 2.0, "s7")
    (again,) = ticked(core, 7.0)
    assert [stream["position"]["next_seq"] for stream in again["streams"]] == [
        2 if name == "s7" else 1 for name in names
    ]


def test_an_answer_under_way_is_no_state() -> None:
    """A signal may end a batch between an estimate and what is kept of its sample."""
    core = predictor()
    hear(core, 0)
    (before,) = ticked(core, 0.2)
    effects = iter(core.receive([chunk(1, [0.5, 0.5])], at(0.3)))
    next(effects)
    (after,) = kept(core.stop(at(0.4)))
    assert list(differences(before, after)) == []
    effects.close()  # type: ignore[attr-defined]
    (after,) = kept(core.stop(at(0.4)))
    assert after["streams"][0]["position"]["next_seq"] == 3


def test_of_streams_answered_together_those_that_got_theirs_are_kept() -> None:
    core = predictor()
    names = ["a", "b", "c"]
    for name in names:
        hear(core, 0, stream=name)
    effects = iter(core.receive([chunk(1, [0.5], stream=name) for name in names], at(0.3)))
    for _ in range(2):
        next(effects)
    effects.close()  # type: ignore[attr-defined]
    (state,) = kept(core.stop(at(0.4)))
    assert [stream["name"] for stream in state["streams"]] == ["a", "b"]
    assert [stream["position"]["next_seq"] for stream in state["streams"]] == [2, 2]


def test_failures_are_counted_said_once_and_healed() -> None:
    core = predictor()
    hear(core, 0)
    assert len(ticked(core, 0.2)) == 1
    (line,) = written(core, 1.0, "OSError: disk full")
    assert "disk full" in line
    assert len(ticked(core, 6.0)) == 1, "tried again, though nothing happened since"
    assert written(core, 6.0, "OSError: disk full") == []
    assert len(ticked(core, 12.0)) == 1
    assert len(written(core, 12.0, "OSError: I/O error")) == 1
    body = told(core, 12.0)
    assert body == body | {"seq": None, "age_s": None, "failures": 3, "last_error": "OSError: I/O error"}
    core = predictor()
    hear(core, 0)
    ticked(core, 0.2)
    written(core, 1.0, "OSError: disk full")
    ticked(core, 6.0)
    (line,) = written(core, 6.0)
    assert "again" in line
    body = told(core, 7.5)
    assert body == body | {"seq": 1, "age_s": 1.5, "failures": 1, "last_error": None}


def test_records_that_cannot_be_written_are_counted_said_once_and_healed() -> None:
    core = predictor()
    hear(core, 0)
    full, heard = Recorded(2, "published: disk full"), []
    for message in (Recorded(1, "published: disk full"), full, Recorded(2, None)):
        heard.append(said(core.receive([message], at(1.0))))
        if message is full:
            body = told(core, 1.0)
            assert (body["record_failures"], body["last_record_error"]) == (2, "published: disk full")
    first, again, healed = heard
    assert "cannot be written; estimates go on" in first[0]
    assert "disk full" in first[0]
    assert (again, healed) == ([], ["decisions and published ends are written again"])


def test_the_last_state_is_kept_at_the_end() -> None:
    core = predictor()
    hear(core, 0)
    (tree,) = kept(core.stop(at(0.1)))
    assert tree["streams"][0]["position"]["next_seq"] == 1
    assert kept(Predictor(model()).stop(at(0.1))) == []
    assert kept(predictor().stop(at(0.1))) == []


def state() -> Tree:
    core = predictor()
    hear(core, 0)
    (tree,) = kept(core.stop(at(0.0)))
    return tree


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: predictor(model(seed=3)), "another model"),
        (lambda: predictor(model(hidden=5)), "another model"),
        (lambda: predictor(make_learner=learner), "settings of --learn"),
        (lambda: predictor(self_config=SelfConfig()), "settings of --learn"),
        (lambda: predictor(nominal_hz=2.0), "--nominal-hz"),
    ],
)
def test_a_state_of_another_model_or_other_options_is_refused_with_the_remedy(other: object, words: str) -> None:
    with pytest.raises(StateError, match=f"{words}.*start with what it was made with"):
        other().restore(state(), at(0))  # type: ignore[operator]


def test_states_of_a_gap_policy_that_changed_are_gone_on_from() -> None:
    config = PredictorConfig(reset_on_gap=True, checkpoint_every_s=EVERY_S)
    core = Predictor(model(), config)
    core.restore(state(), at(0))
    assert kept(core.stop(at(0.0))) == [], "nothing has changed since"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", 3),
        ("hidden", None),
        ("hidden", np.zeros((3, 1), np.float32)),
        ("hidden", np.zeros((6, 1), np.float64)),
        ("hidden", np.zeros((6, 0), np.float32)),
        ("since_reset", -1),
        ("since_reset", 2**64),
        ("since_reset", True),
        ("counters", {}),
        ("position", {"run": None, "next_seq": 1, "past_runs": []}),
        ("position", {"run": 1, "next_seq": 99, "past_runs": []}),
        ("position", {"run": 1, "next_seq": 1, "past_runs": [-1]}),
        ("lessons/labels/_inputs", np.zeros((2, 1), np.float32)),
        ("lessons/labels", []),
        ("familiarity/entries", np.zeros((5, 2, 3), np.float32)),
        ("usable/_last", np.zeros(2, np.float32)),
    ],
)
def test_a_state_that_cannot_be_one_is_refused(path: str, value: object) -> None:
    tree = state()
    *above, last = path.split("/")
    place = tree["streams"][0]
    for name in above:
        place = place[name]
    assert last in place
    place[last] = value
    with pytest.raises(FileError, match="state: "):
        predictor().restore(tree, at(0))


@pytest.mark.parametrize("every_s", [0.0, -1.0, float("nan"), 1e9])
def test_how_often_has_its_limits(every_s: float) -> None:
    with pytest.raises(UsageError, match="--checkpoint-every"):
        PredictorConfig(checkpoint_every_s=every_s)


# Another model while it runs


def test_a_model_of_the_same_shape_is_taken_with_the_hidden_state() -> None:
    core, other = predictor(), model(seed=9)
    wave = np.sin(0.3 * np.arange(20))
    answer(core, [chunk(0, wave)])
    hidden = core.streams["demo"].state.copy()
    (line,) = said(core.reload(other))
    assert "states are kept" in line
    expected = Predictor(other)
    answer(expected, [chunk(0, wave)])
    expected.streams["demo"].state = hidden
    ours, theirs = (answer(one, [chunk(20, wave)])[0].values for one in (core, expected))
    assert ours.tobytes() == theirs.tobytes()
    assert core.streams["demo"].counters.gaps == 0
    assert core.streams["demo"].status(at(0)).body["since_reset_samples"] == 40


@pytest.mark.parametrize("learns", [False, True])
def test_a_model_of_another_shape_starts_anew_and_says_so(learns: bool) -> None:
    other = model(cell="lstm", hidden=7)
    make_learner = learner if learns else None
    core, fresh = predictor(make_learner=make_learner), predictor(other, make_learner=make_learner)
    wave = np.sin(0.3 * np.arange(20))
    answer(core, [chunk(0, wave)])
    (line,) = said(core.reload(other))
    assert "are reset" in line
    ours, theirs = answer(core, [chunk(20, wave)]), answer(fresh, [chunk(0, wave)])
    assert ours[0].values.tobytes() == theirs[0].values.tobytes()
    assert ours[0].seq == 20
    assert core.streams["demo"].status(at(0)).body["since_reset_samples"] == 20


def test_streams_that_learn_start_from_the_new_weights_and_forget_nothing_that_waits() -> None:
    wave = np.sin(0.3 * np.arange(30))
    cos = [chunk(first, np.cos(0.3 * np.arange(first, first + 5)), kind=2) for first in range(0, 30, 5)]  # type: ignore[arg-type]
    core = predictor(make_learner=learner)
    answer(core, [chunk(0, wave[:20]), *cos[:3]])
    while core.work() is not None:
        pass
    learning = core.streams["demo"].scheduler
    waiting = len(learning._labels)
    list(core.reload(model(seed=9)))
    assert learning.learner is not None
    assert all((learning.learner.weights[name] == model(seed=9).weights[name]).all() for name in model().weights)
    assert len(learning._labels) == waiting
    answer(core, [*cos[3:4], chunk(20, wave[20:]), chunk(30, wave[:1])])
    assert core.streams["demo"].counters.updates == 2


def test_a_model_that_says_something_else_is_not_taken() -> None:
    core = predictor()
    hear(core, 0)
    (line,) = said(core.reload(model(fields=("cos",))))
    assert "not taken" in line
    assert answer(core, [chunk(1, [0.5])])[0].values.shape == (1, 1, 2)


def test_a_model_file_with_nothing_new_changes_nothing() -> None:
    core = predictor()
    (line,) = said(core.reload(model()))
    assert "nothing new" in line


def test_after_a_reload_a_state_of_the_new_model_is_kept_at_once() -> None:
    core, other = predictor(), model(seed=9)
    hear(core, 0)
    ticked(core, 0.2)
    written(core, 0.2)
    list(core.reload(other))
    (tree,) = ticked(core, 0.3)
    predictor(other).restore(tree, at(0))
    with pytest.raises(StateError):
        predictor().restore(tree, at(0))
