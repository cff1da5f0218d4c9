"""The listener that misses nothing, and the predictor that says estimates again, on a fake clock."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from predictor.daemon.core import Predictor, PredictorConfig
from predictor.listen.listener import Listener, ListenerConfig
from streamer.clock import Instant
from streamer.effects import Ask, Effect, Finish, Print, Reply, Send
from streamer.messages import Burst, Chunk, Incoming, Info, Kind, Message, Replay, Request, Status
from streamer.ordering.retry import RetryPolicy
from tests.support.lossy import MS, SECOND, WALL_NS, Faults, chunks_of, play, script
from tests.support.simulation import at, chunk, said, sent
from trainer.model import Model, ModelConfig, new_model
from trainer.online.tbptt import OnlineConfig, OnlineLearner


def model() -> Model:
    return new_model(ModelConfig("gru", 8, level_samples=20.0), seed=2)


class Ear:
    """A listener's core as a reader of the lossy network."""

    def __init__(self, **config: object) -> None:
        self.core = Listener(ListenerConfig(reliable=True, **config))  # type: ignore[arg-type]
        self.lines: list[dict[str, object]] = []
        self.finished = False

    def receive(self, messages: Sequence[Incoming], now_ns: int) -> list[Replay]:
        now = Instant(now_ns, WALL_NS + now_ns)
        wishes = self.perform(self.core.receive(messages, now))
        due_ns = self.due_ns()
        if due_ns is not None and due_ns <= now_ns:
            wishes += self.perform(self.core.tick(now))
        return wishes

    def perform(self, effects: Iterable[Effect]) -> list[Replay]:
        effects = list(effects)
        self.lines += [json.loads(effect.line) for effect in effects if isinstance(effect, Print)]
        self.finished |= any(isinstance(effect, Finish) for effect in effects)
        return [effect.replay for effect in effects if isinstance(effect, Ask)]

    def due_ns(self) -> int | None:
        return self.core.next_deadline_ns()

    def seqs(self) -> list[object]:
        return [line["seq"] for line in self.lines if "gap" not in line]


def predicted(core: Predictor, said: Sequence[tuple[int, Incoming]]) -> list[tuple[int, Message | Burst]]:
    """What a predictor says of a script, each with the moment it does."""
    told: list[tuple[int, Message | Burst]] = []
    for moment, message in said:
        now = Instant(moment, WALL_NS + moment)
        told += [(moment, m) for m in sent(core.receive([message], now))]
        if moment % SECOND == 0:
            told += [(moment, m) for m in sent(core.tick(now))]
    return told


class History:
    """A predictor's core as the server of the lossy network."""

    def __init__(self, core: Predictor) -> None:
        self.core = core
        self.requests = 0

    def answer(self, request: Replay, now_ns: int) -> list[Incoming]:
        self.requests += 1
        now = Instant(now_ns, WALL_NS + now_ns)
        effects = [e for e in self.core.receive([Request(b"me", request)], now) if isinstance(e, Reply)]
        while (more := self.core.work()) is not None:
            effects += [effect for effect in more if isinstance(effect, Reply)]
        answers: list[Incoming] = []
        for reply in effects:
            assert reply.peer == b"me"
            said = reply.message
            answers += said.chunks() if isinstance(said, Burst) else [said]  # type: ignore[list-item]
        return answers


@pytest.mark.parametrize("faults", [Faults(), Faults(0.2, 0.2, 0.5, 100)])
@pytest.mark.parametrize("from_ms", [0, 350])
def test_every_estimate_is_printed_once_and_in_order(faults: Faults, from_ms: int) -> None:
    said = script(400)
    core = Predictor(model())
    told = predicted(core, said)
    ear = Ear()
    play(told, History(core), ear, faults, 5, until_ns=50 * SECOND, from_ns=from_ms * MS)  # type: ignore[arg-type]
    assert ear.seqs() == list(range(400))
    undisturbed = np.concatenate([m.values for _, m in told if isinstance(m, Chunk)])[:, 0, 0]
    np.testing.assert_array_equal(np.float32([line["estimate"] for line in ear.lines])[:, 0], undisturbed)


def test_what_the_predictor_keeps_no_longer_is_a_line_with_its_range() -> None:
    core = Predictor(model(), PredictorConfig(retain_s=0.1))
    told = predicted(core, script(400))
    ear = Ear()
    play(told, History(core), ear, Faults(), 0, until_ns=50 * SECOND, from_ns=350 * MS)  # type: ignore[arg-type]
    assert ear.lines[0] == {"stream": "demo", "run": f"{1:016x}", "gap": "estimate", "seq": 0, "samples": 300}
    assert ear.seqs() == list(range(300, 400))


def test_what_the_predictor_itself_has_missed_is_gone_at_once() -> None:
    core = Predictor(model(), PredictorConfig(retry_policy=RetryPolicy(deadline_s=0)))
    inputs = [m for m in chunks_of(script(40)) if m.kind is Kind.INPUT and not 10 <= m.seq < 17]
    told = predicted(core, [(m.time_ns - WALL_NS, m) for m in inputs])
    ear = Ear()
    status = (SECOND, Status("demo", 1, 40, WALL_NS + SECOND, {"replays": True}))
    play([*told, status], History(core), ear, Faults(), 0, until_ns=2 * SECOND)  # type: ignore[arg-type, list-item]
    gaps = [(line["gap"], line["seq"], line["samples"]) for line in ear.lines if "gap" in line]
    assert gaps == [("estimate", 10, 7)]
    assert ear.seqs() == [*range(10), *range(17, 40)]


def test_a_predictor_that_starts_again_says_nothing_twice() -> None:
    said = script(400)
    first = predicted(Predictor(model()), [entry for entry in said if entry[0] < 250 * MS])
    core = Predictor(model())
    again = [(max(moment, 260 * MS), message) for moment, message in predicted(core, said)]
    ear = Ear()
    play([*first, *again], History(core), ear, Faults(), 0, until_ns=50 * SECOND)  # type: ignore[arg-type]
    assert ear.seqs() == list(range(400))


def test_count_counts_samples_and_no_gaps() -> None:
    ear = Ear(count=3, kinds=(Kind.INPUT,))
    list(ear.receive([replace(chunk(5, [0.1, 0.2])), chunk(8, [0.3, 0.4])], 0))
    pass_time(ear, 0, 20, chunk(8, [0.3]))
    assert ear.finished
    ear.receive([chunk(20, [0.3])], 21 * SECOND)
    assert said(ear.core.stop(at(21))) == [], "whoever has all lines that were wanted misses nothing"
    assert ear.seqs() == [5, 6, 8]
    assert [line["gap"] for line in ear.lines if "gap" in line] == ["input", "input"]


def test_joined_lines_wait_for_what_is_asked_for() -> None:
    said = script(300, delay=10)
    core = Predictor(model())
    told = sorted([*said, *predicted(core, said)], key=lambda entry: entry[0])
    estimates = History(core)

    class Both:
        requests = 0

        def answer(self, request: Replay, now_ns: int) -> list[Incoming]:
            if request.kind is Kind.ESTIMATE:
                return estimates.answer(request, now_ns)
            end = request.seq + request.samples
            return [c for c in chunks_of(said) if c.kind is request.kind and request.seq <= c.seq < end]

    ear = Ear(joined=True)
    play(told, Both(), ear, Faults(0.2, 0.1, 0.3, 50), 1, until_ns=50 * SECOND)  # type: ignore[arg-type]
    assert ear.seqs() == list(range(300))
    for line in ear.lines:
        assert None not in (line["input"], line["target"], line["estimate"])


def test_estimates_are_kept_apart_from_those_of_the_streams_they_were_made_with() -> None:
    core = Predictor(model())
    for seq in range(3):
        list(core.receive([chunk(seq, [0.1], stream=f"s{k}") for k in range(50)], at(0)))
    answers = History(core).answer(Replay(Kind.ESTIMATE, "s7", 1, 0, 3), 0)
    assert [c.seq for c in answers if isinstance(c, Chunk)] == [0, 1, 2]
    for answered in answers:
        assert isinstance(answered, Chunk)
        held = answered.values if answered.values.base is None else answered.values.base
        assert held.nbytes <= answered.values.nbytes


def test_a_predictor_does_not_answer_for_a_run_it_may_yet_hear_of_nor_for_what_it_does_not_publish() -> None:
    core = Predictor(model())
    list(core.receive([chunk(0, [0.1])], at(0)))
    for kind, run in ((Kind.ESTIMATE, 9), (Kind.INPUT, 1), (Kind.TARGET, 1)):
        assert History(core).answer(Replay(kind, "demo", run, 0, 3), 0) == []


def test_joined_lines_that_wait_long_for_estimates_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictor.listen.listener.MAX_HELD", 40)
    said = script(800)  # 0.8 s; the predictor is away until all of it has been said
    core = Predictor(model())
    told = [(moment + 5 * SECOND, message) for moment, message in predicted(core, said)]
    told += [(second * SECOND, status(800)) for second in range(7, 60)]
    estimates = History(core)

    class Both:
        def answer(self, request: Replay, now_ns: int) -> list[Incoming]:
            if request.kind is Kind.ESTIMATE:
                return estimates.answer(request, now_ns)
            end = request.seq + request.samples
            return [c for c in chunks_of(said) if c.kind is request.kind and request.seq <= c.seq < end]

    ear = Ear(joined=True)
    both = sorted([*said, *told], key=lambda entry: entry[0])
    play(both, Both(), ear, Faults(), 1, until_ns=55 * SECOND)  # type: ignore[arg-type]
    assert ear.seqs() == list(range(800))
    assert not any(None in line.values() for line in ear.lines)
    assert ear.core._held == 0


def status(next_seq: int, *, health: str = "LIVE", run: int = 1) -> Status:
    return Status("demo", run, next_seq, WALL_NS, {"replays": True, "health": health})


def gaps(ear: Ear) -> list[tuple[object, object]]:
    return [(line["seq"], line["samples"]) for line in ear.lines if "gap" in line]


def pass_time(ear: Ear, from_s: float, to_s: float, *heard: Incoming) -> list[Replay]:
    """Let time pass, each half second with the same messages; return what was asked for."""
    asked: list[Replay] = []
    for now_ns in range(round(from_s * SECOND), round(to_s * SECOND), 50 * MS):
        asked += ear.receive(heard if now_ns % (SECOND // 2) == 0 else [], now_ns)
    return asked


def missing_estimates() -> Ear:
    """A reader that has samples 0 and 10 and has asked for those between."""
    ear = Ear()
    ear.receive([chunk(0, [0.5], kind=Kind.ESTIMATE), chunk(10, [0.5], kind=Kind.ESTIMATE), status(11)], 0)
    assert pass_time(ear, 0, 0.2)
    return ear


def test_nothing_is_given_up_while_the_predictor_is_away() -> None:
    ear = missing_estimates()
    asked = pass_time(ear, 0.2, 600)
    assert 500 < len(asked) < 610, "each second, for it may hear all the same"
    assert {(replay.seq, replay.samples) for replay in asked} == {(1, 9)}
    assert gaps(ear) == []
    pass_time(ear, 600, 602, status(11))
    assert gaps(ear) == []
    ear.receive([chunk(1, np.full(9, 0.5), kind=Kind.ESTIMATE)], 603 * SECOND)
    assert ear.seqs() == list(range(11))


def test_nothing_is_given_up_that_a_predictor_which_starts_again_has_not_said_yet() -> None:
    ear = missing_estimates()
    asked = [replay for second in range(20) for replay in pass_time(ear, second, second + 1, status(1))]
    assert len(asked) < 10
    assert gaps(ear) == []
    pass_time(ear, 20, 27, status(11))
    assert gaps(ear) == [(1, 9)]


def test_what_is_asked_for_in_vain_is_given_up_where_somebody_hears_it() -> None:
    for health in ("LIVE", "LOST"):
        ear = missing_estimates()
        pass_time(ear, 0.2, 4.5, status(11, health=health))
        assert gaps(ear) == []
        pass_time(ear, 4.5, 7, status(11, health=health))
        assert gaps(ear) == [(1, 9)]
    ear = missing_estimates()
    pass_time(ear, 0.2, 10, status(1, health="LOST"))
    assert gaps(ear) == [(1, 9)], "a predictor that has lost the source will not get there"


def test_inputs_wait_for_their_source_and_not_for_the_predictor() -> None:
    ear = Ear(kinds=(Kind.INPUT, Kind.ESTIMATE))
    ear.receive([chunk(0, [0.5]), chunk(10, [0.5]), chunk(0, [0.5], kind=Kind.ESTIMATE)], 0)
    pass_time(ear, 0, 60, status(1))
    assert gaps(ear) == []
    assert [text for text in said(ear.core.stop(at(60))) if "inputs from sample 1 on were still missing" in text]
    pass_time(ear, 60, 70, chunk(11, [0.5]))
    assert gaps(ear) == [(1, 9)]


def test_a_source_that_said_that_it_ends_is_not_waited_for() -> None:
    ended = [message for _, message in script(10) if isinstance(message, Info) and message.ended][:1]
    ear = Ear(kinds=(Kind.INPUT,))
    ear.receive([chunk(5, [0.5]), *ended], 0)
    pass_time(ear, 0, 4)
    assert gaps(ear) == []
    pass_time(ear, 4, 20)
    assert gaps(ear) == [(0, 5), (6, 4)]


def test_undisturbed_streams_wake_nobody() -> None:
    core = Predictor(model())
    list(core.tick(at(0)))
    for seq in range(2):
        list(core.receive([chunk(seq, [0.1], stream=f"s{k}") for k in range(300)], at(0)))
    assert core.next_deadline_ns() == at(1).mono_ns
    list(core.receive([chunk(5, [0.1], stream="s3")], at(0.01)))
    assert core.next_deadline_ns() < at(1).mono_ns
    assert sum(stream.disturbed for stream in core.streams.values()) == 1
    statuses = [m for m in sent(core.tick(at(0.2))) if isinstance(m, Status)]
    assert statuses == []  # it was woken to ask


def test_those_who_ask_are_answered_however_much_comes_in() -> None:
    core = Predictor(model())
    list(core.receive([chunk(0, np.zeros(50))], at(0)))
    list(core.receive([Request(b"me", Replay(Kind.ESTIMATE, "demo", 1, 0, 50))], at(0)))
    effects = list(core.receive([chunk(50, [0.1]), chunk(51, [0.1])], at(0)))
    assert [type(effect) for effect in effects] == [Send, Send]  # it was answered with the request
    list(core.receive([Request(b"you", Replay(Kind.ESTIMATE, "demo", 1, 0, 50)), chunk(52, [0.1])], at(0)))
    assert core.work() is None


def test_those_who_ask_are_answered_while_inputs_and_targets_come_one_by_one() -> None:
    learning = Predictor(model(), make_learner=partial(OnlineLearner, config=OnlineConfig()))
    replies: list[Effect] = []

    def hear(*messages: Incoming) -> None:
        replies.extend(effect for effect in learning.receive(messages, at(0)) if isinstance(effect, Reply))

    for seq in range(400):
        hear(chunk(seq, [0.1]))
        if seq == 149:
            hear(Request(b"me", Replay(Kind.ESTIMATE, "demo", 1, 0, 150)))
        hear(replace(chunk(seq, [0.1], kind=Kind.TARGET), tally=seq + 1))
    assert len(replies) == 150
    assert learning.streams["demo"].scheduler.rmse.count == 400


def test_streams_beyond_those_followed_are_said_to_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictor.listen.reorder.MAX_STREAMS", 1)
    ear = Ear(kinds=(Kind.INPUT,))
    ear.receive([chunk(0, [0.5]), chunk(0, [0.5], stream="other"), chunk(1, [0.5], stream="other")], 0)
    assert [line["stream"] for line in ear.lines] == ["demo"]
    assert [text for text in said(ear.core.stop(at(0))) if "2 messages of streams beyond" in text]


def test_in_silence_a_run_that_was_named_once_does_not_keep_a_listener_awake() -> None:
    """All that was asked for has come: there is nothing to ask the silent predictor for again."""
    ear = Ear()
    estimates = [chunk(seq, [[[0.0, 0.0]]], kind=Kind.ESTIMATE) for seq in range(3)]
    ear.receive([estimates[0]], 0)
    ear.receive([estimates[2]], 10 * MS)
    while ear.core.next_deadline_ns() <= 100 * MS:  # type: ignore[operator]
        if ear.perform(ear.core.tick(Instant(ear.core.next_deadline_ns(), WALL_NS))):  # type: ignore[arg-type]
            break
    ear.receive([estimates[1]], 200 * MS)
    assert ear.seqs() == [0, 1, 2]
    ear.receive([Status("demo", 7, 5, WALL_NS + SECOND, {"replays": True, "health": "LIVE"})], SECOND)
    wakes = 0
    while (due_ns := ear.core.next_deadline_ns()) is not None and due_ns < 60 * SECOND:
        ear.perform(ear.core.tick(Instant(due_ns, WALL_NS + due_ns)))
        wakes += 1
        assert wakes < 200
