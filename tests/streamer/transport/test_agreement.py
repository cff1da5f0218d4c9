"""Of several who are asked, all who could have samples must say that they are gone."""

import pytest

from streamer.messages import Gone, Kind, Replay
from streamer.transport.agreement import IN_VAIN, Agreement

INPUT = Kind.INPUT


def gone(seq: int, end: int, run: int = 7) -> Gone:
    return Gone(INPUT, "demo", run, seq, end - seq)


def asking(peers: int = 2, run: int = 7) -> Agreement:
    agreement = Agreement({INPUT: range(peers)})
    agreement.asked(Replay(INPUT, "demo", run, 0, 100))
    return agreement


def test_one_alone_is_believed() -> None:
    assert asking(1).gone(0, gone(0, 9)) == gone(0, 9)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_only_what_both_say_is_gone(order: tuple[int, int]) -> None:
    agreement = asking()
    said = {0: gone(0, 50), 1: gone(0, 20)}
    assert agreement.gone(order[0], said[order[0]]) is None
    assert agreement.gone(order[1], said[order[1]]) == gone(0, 20)


def test_another_who_has_the_samples_is_heard_however_slow() -> None:
    agreement = asking()
    agreement.answered(1, INPUT, "demo")
    for _ in range(10 * IN_VAIN):
        agreement.asked(Replay(INPUT, "demo", 7, 0, 100))
        assert agreement.gone(0, gone(0, 50)) is None


def test_who_never_answers_for_the_stream_is_not_waited_for_for_ever() -> None:
    agreement = asking()
    answers = []
    for _ in range(IN_VAIN + 1):
        answers.append(agreement.gone(0, gone(0, 50)))
        agreement.asked(Replay(INPUT, "demo", 7, 0, 100))
    assert answers == [None] * IN_VAIN + [gone(0, 50)]
    agreement.asked(Replay(INPUT, "demo", 7, 50, 50))
    assert agreement.gone(0, gone(50, 60)) == gone(50, 60)
    assert agreement.gone(1, gone(55, 60)) == gone(55, 60)
    assert agreement.gone(0, gone(60, 70)) is None, "it answers after all"


def test_requests_that_go_forward_are_not_in_vain() -> None:
    agreement = asking()
    for seq in range(1, 10 * IN_VAIN):
        agreement.asked(Replay(INPUT, "demo", 7, seq, 100))
    assert agreement.gone(0, gone(0, 50)) is None


def test_what_was_said_of_another_run_counts_for_nothing() -> None:
    agreement = asking()
    assert agreement.gone(0, gone(0, 50)) is None
    agreement.asked(Replay(INPUT, "demo", 8, 0, 100))
    assert agreement.gone(1, gone(0, 50, run=7)) is None
    assert agreement.gone(1, gone(0, 50, run=8)) is None
    assert agreement.gone(0, gone(0, 50, run=8)) == gone(0, 50, run=8)


def test_what_nobody_asked_for_nobody_says() -> None:
    agreement = Agreement({INPUT: (0, 1)})
    assert agreement.gone(0, gone(0, 5)) is None
    assert agreement.gone(1, gone(0, 5)) is None
