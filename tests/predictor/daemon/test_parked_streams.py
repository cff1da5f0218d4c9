"""Streams that make room are kept on disk, and come back bit for bit as if nothing had happened."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from predictor.daemon import parked_streams
from predictor.daemon.core import Predictor, PredictorConfig
from predictor.state import checkpoint
from predictor.state.parked_files import FOLDER, ParkedFiles, key_of, take_newer
from streamer.effects import Checkpoint, Discard, Effect, Fetch, Forget, Park
from streamer.messages import Chunk, Fetched, Incoming, Info, Parked, Status, Written
from streamer.ordering.retry import RetryPolicy
from tests.support.restarting import model, spoken, targets_learnt
from tests.support.simulation import at, chunk, said, sent, status_of
from trainer.selfsupervised.learner import SelfConfig

LEARNING = ["", "target", "self"]
Said = dict[tuple[str, int, int], bytes]


class Daemon:
    """A core with a folder, on a fake clock; what it stores is done when it is told to, or at once."""

    def __init__(self, path: Path, most: int, learning: str = "", cell: str = "gru", **config: object) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)
        self.files = ParkedFiles(path, self.descriptor)
        options = {"checkpoint_every_s": 5.0, "retry_policy": RetryPolicy(deadline_s=0)} | config
        self.core = Predictor(
            model(cell),
            PredictorConfig(max_streams=most, **options),  # type: ignore[arg-type]
            targets_learnt if learning == "target" else None,
            SelfConfig((3.3, 4.8)) if learning == "self" else None,
        )
        self.effects: list[Effect] = []
        self.waiting: list[Effect] = []
        self.checkpoint: bytes | None = None
        self.slow = False
        self.error: str | None = None

    def begin(self, content: bytes | None) -> "Daemon":
        index = self.files.index()
        if content is not None:
            tree = checkpoint.decode(content)
            take_newer(tree, self.files, index)
            self.core.restore(tree, at(0))
        self.core.adopt_parked(index)
        return self

    def say(self, messages: Iterable[Incoming], seconds: float) -> None:
        for message in messages:
            self._do([*self.core.receive([message], at(seconds)), *self.core.catch_up(at(seconds))], seconds)

    def tick(self, seconds: float) -> None:
        self._do(list(self.core.tick(at(seconds))), seconds)

    def _do(self, effects: list[Effect], seconds: float) -> None:
        self.effects += effects
        for effect in effects:
            if isinstance(effect, Park | Fetch | Discard | Forget):
                self.waiting.append(effect)
            elif isinstance(effect, Checkpoint):
                self.checkpoint = b"".join(checkpoint.encode(effect.head, effect.streams))
                self.say([Written(1)], seconds)
        if not self.slow:
            self.finish(seconds)

    def finish(self, seconds: float) -> None:
        while self.waiting:
            outcome = self._store(self.waiting.pop(0))
            if outcome is not None:
                self.say([outcome], seconds)

    def _store(self, effect: Effect) -> Parked | Fetched | None:
        match effect:
            case Park(stream, head, packed, brief):
                if self.error is not None:
                    return Parked(stream, 0, self.error)
                return Parked(stream, self.files.write(stream, head, packed, brief=brief))
            case Fetch(stream):
                try:
                    return Fetched(stream, self.files.read(stream))
                except Exception as error:
                    return Fetched(stream, None, str(error))
            case Discard(keys):
                self.files.drop(keys)
        return None

    def estimates(self) -> Said:
        """All that were published; one that was published twice must have been the same."""
        told: Said = {}
        for message in sent(self.effects):
            if isinstance(message, Chunk):
                for place, values in enumerate(message.values):
                    key = message.stream, message.run, message.seq + place
                    assert told.setdefault(key, values.tobytes()) == values.tobytes(), key
        return told

    @property
    def status(self) -> dict[str, object]:
        return dict(self.core.status(at(0)).body["parked"])

    def close(self) -> None:
        self.files.close()
        os.close(self.descriptor)


@pytest.fixture
def daemons() -> Iterator[list[Daemon]]:
    made: list[Daemon] = []
    yield made
    for one in made:
        one.close()


def visits(names: str, samples: int, seed: int, pieces: int) -> list[list[Chunk | Info]]:
    """What each of several sources says, in pieces that come in any order of sources."""
    random = Random(seed)
    left = []
    for number, name in enumerate(names):
        said = spoken(name, 1 + number % 2, samples, seed=number)
        cuts = sorted(random.sample(range(1, len(said)), pieces - 1))
        left.append([said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)])
    mixed = []
    while any(left):
        one = random.choice([each for each in left if each])
        mixed.append(one.pop(0))
    return mixed


def undisturbed(mixed: list[list[Chunk | Info]], path: Path, daemons: list[Daemon], learning: str) -> Said:
    daemon = Daemon(path, 100, learning)
    daemons.append(daemon)
    for number, messages in enumerate(mixed):
        daemon.say(messages, 3.0 * number)
    return daemon.estimates()


@pytest.mark.parametrize("learning", LEARNING)
@pytest.mark.parametrize("most", [1, 3])
def test_streams_that_take_turns_have_the_bits_of_an_undisturbed_run(
    learning: str, most: int, tmp_path: Path, daemons: list[Daemon]
) -> None:
    mixed = visits("abcdef", 300, seed=most, pieces=6)
    daemon = Daemon(tmp_path, most, learning)
    daemons.append(daemon)
    for number, messages in enumerate(mixed):
        daemon.say(messages, 3.0 * number)
        daemon.tick(3.0 * number + 1)
    assert daemon.estimates() == undisturbed(mixed, tmp_path, daemons, learning)
    assert daemon.core.forgotten == 0
    assert len(daemon.core.streams) <= most
    status = daemon.status
    assert int(str(status["returned"])) > 6
    assert status["failures"] == status["dropped"] == 0


@pytest.mark.parametrize("learning", LEARNING)
@pytest.mark.parametrize("seed", range(3))
def test_a_predictor_that_is_killed_at_any_time_goes_on_with_the_same_bits(
    learning: str, seed: int, tmp_path: Path, daemons: list[Daemon]
) -> None:
    """After a kill, each source says again all that it has said, as one does that is asked."""
    mixed = visits("abcd", 240, seed, pieces=5)
    random = Random(seed)
    daemon = Daemon(tmp_path, 2, learning)
    daemons.append(daemon)
    told: Said = {}
    said_before: dict[str, list[Chunk | Info]] = {}
    for number, messages in enumerate(mixed):
        said_before.setdefault(messages[0].stream, []).extend(messages)
        daemon.slow = random.random() < 0.5
        daemon.say(messages, 30.0 * number)
        if random.random() < 0.7:
            daemon.finish(30.0 * number + 1)
        daemon.tick(30.0 * number + 2)
        if random.random() < 0.4:  # what is being written or read now never comes to an end
            told |= daemon.estimates()
            content = daemon.checkpoint
            daemon = Daemon(tmp_path, 2, learning)
            daemons.append(daemon)
            daemon.begin(content)
            daemon.checkpoint = content
            for place, all_of_one in enumerate(said_before.values()):
                daemon.say(all_of_one, 30.0 * number + 5 + 3 * place)
        daemon.slow = False
        daemon.finish(30.0 * number + 20)
    for place, all_of_one in enumerate(said_before.values()):
        daemon.say(all_of_one, 30.0 * len(mixed) + 3.0 * place)
    told |= daemon.estimates()
    assert told == undisturbed(mixed, tmp_path, daemons, learning)


def test_who_speaks_while_it_is_being_written_stays_and_its_file_goes(
    tmp_path: Path, daemons: list[Daemon]
) -> None:
    daemon = Daemon(tmp_path, 1)
    daemons.append(daemon)
    daemon.slow = True
    daemon.say([chunk(0, [0.5, 0.1], stream="a")], 0.0)
    daemon.say([chunk(0, [0.5], stream="b")], 3.0)
    assert set(daemon.core.streams) == {"a", "b"}  # until the state is on disk
    daemon.say([chunk(2, [0.7], stream="a")], 3.1)
    daemon.finish(3.2)
    assert set(daemon.core.streams) == {"a", "b"}
    assert daemon.status["streams"] == daemon.status["parked"] == 0
    daemon.tick(9.0)
    daemon.tick(9.1)
    assert daemon.checkpoint is not None
    daemon.finish(9.2)
    assert daemon.files.index() == []
    daemon.slow = False
    daemon.say([chunk(3, [0.2], stream="a")], 9.3)
    alone = Daemon(tmp_path, 5)
    daemons.append(alone)
    alone.say([chunk(0, [0.5, 0.1], stream="a"), chunk(2, [0.7], stream="a"), chunk(3, [0.2], stream="a")], 0)
    assert {key: one for key, one in daemon.estimates().items() if key[0] == "a"} == alone.estimates()


def test_what_is_said_while_a_state_is_being_read_is_answered_after_it_and_in_order(
    tmp_path: Path, daemons: list[Daemon]
) -> None:
    daemon, alone = Daemon(tmp_path, 1), Daemon(tmp_path, 9)
    daemons += [daemon, alone]
    first, second = chunk(0, [0.5, 0.1], stream="a"), [chunk(2 + n, [0.1 * n], stream="a") for n in range(5)]
    alone.say([first, *second], 0)
    daemon.say([first], 0.0)
    daemon.say([chunk(0, [0.5], stream="b")], 3.0)
    daemon.slow = True
    for one in second:
        daemon.say([one], 6.0)
    assert max(key[2] for key in daemon.estimates() if key[0] == "a") == 1
    assert daemon.core.next_deadline_ns() <= at(6.1).mono_ns
    daemon.slow = False
    daemon.finish(6.1)
    assert {key: one for key, one in daemon.estimates().items() if key[0] == "a"} == alone.estimates()


def test_where_the_disk_is_full_a_stream_begins_anew_and_that_is_said_and_counted(
    tmp_path: Path, daemons: list[Daemon]
) -> None:
    daemon = Daemon(tmp_path, 1)
    daemons.append(daemon)
    daemon.error = "OSError: [Errno 28] No space left on device"
    daemon.say([chunk(0, [0.5, 0.1], stream="a")], 0.0)
    daemon.say([chunk(0, [0.5], stream="b")], 3.0)
    assert set(daemon.core.streams) == {"b"}
    assert daemon.core.forgotten == daemon.status["failures"] == 1
    daemon.tick(4.0)
    assert any("No space left" in text for text in said(daemon.effects))
    assert daemon.status["last_error"] == daemon.error
    daemon.error = None
    daemon.say([chunk(2, [0.5], stream="a")], 6.0)
    assert daemon.status["parked"] == 1  # "b"


@pytest.mark.parametrize("how", ["cut", "bit", "gone", "other", "fifo"])
def test_a_damaged_file_is_kept_aside_and_its_stream_begins_anew(
    how: str, tmp_path: Path, daemons: list[Daemon]
) -> None:
    daemon = Daemon(tmp_path, 1)
    daemons.append(daemon)
    daemon.say([chunk(0, [0.5, 0.1], stream="a")], 0.0)
    daemon.say([chunk(0, [0.5], stream="b")], 3.0)
    (path,) = (tmp_path / FOLDER).glob(f"*{key_of('a')}*")
    content = bytearray(path.read_bytes())
    path.unlink()
    if how == "cut":
        path.write_bytes(content[:-1])
    elif how == "bit":
        content[len(content) // 2] ^= 16
        path.write_bytes(content)
    elif how == "other":
        daemon.files.write("a", {"identity": {}}, checkpoint.pack({"name": "a"}, "a"), brief=True)
    elif how == "fifo":
        os.mkfifo(path)
    daemon.say([chunk(2, [0.5], stream="a")], 6.0)
    assert set(daemon.core.streams) == {"a"}
    assert any("stream a: its state cannot be gone on from" in text for text in said(daemon.effects))
    assert daemon.status["failures"] == 1
    assert (len(list((tmp_path / FOLDER).glob("*.damaged"))) == 1) == (how in ("cut", "bit", "fifo"))
    assert not list((tmp_path / FOLDER).glob(f"*{key_of('a')}.safetensors"))


def test_names_that_are_made_up_drive_out_nobody_who_has_something_to_lose(
    tmp_path: Path, daemons: list[Daemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parked_streams, "MAX_PARKED", 20)
    monkeypatch.setattr(parked_streams.ParkedStreams.__init__, "__defaults__", (20,))
    daemon, alone = Daemon(tmp_path, 10), Daemon(tmp_path, 100)
    daemons += [daemon, alone]
    wave = np.sin(0.3 * np.arange(300))
    both = [chunk(0, wave[:200], stream="silent"), chunk(200, wave[200:], stream="silent")]
    alone.say(both, 0)
    daemon.say(both[:1], 0.0)
    for number in range(300):
        seconds = 3.0 + 0.3 * number
        daemon.say([chunk(number, wave[number : number + 1], stream="living")], seconds)
        daemon.say([chunk(0, [0.5], stream=f"name{number}")], seconds)
    assert "living" in daemon.core.streams
    assert len(daemon.core.streams) <= 10
    assert len(daemon.files.index()) <= 20
    assert int(str(daemon.status["dropped"])) > 200
    daemon.say(both[1:], 200.0)
    told = daemon.estimates()
    assert {key: one for key, one in told.items() if key[0] == "silent"} == alone.estimates()
    assert sum(key[0] == "living" for key in told) == 300


def test_files_have_a_bound_in_bytes(tmp_path: Path, daemons: list[Daemon]) -> None:
    daemon = Daemon(tmp_path, 1)
    daemons.append(daemon)
    daemon.core._parked = parked_streams.ParkedStreams(30_000)
    for number in range(20):
        daemon.say([chunk(0, np.ones(200), stream=f"name{number}")], 3.0 * number)
    index = daemon.files.index()
    assert sum(size for _, size, _ in index) == daemon.status["bytes"] <= 30_000
    assert index[-1][0] == key_of("name18")
    assert daemon.status["streams"] == len(index) == 19 - int(str(daemon.status["dropped"]))


def test_the_status_says_what_is_parked(tmp_path: Path, daemons: list[Daemon]) -> None:
    daemon = Daemon(tmp_path, 1)
    daemons.append(daemon)
    daemon.say([chunk(0, [0.5], stream="a")], 0.0)
    daemon.say([chunk(0, [0.5], stream="b")], 3.0)
    daemon.tick(4.0)
    statuses = [m.body for m in sent(daemon.effects) if isinstance(m, Status) and not m.stream]
    assert statuses[-1]["parked"]["streams"] == 1
    assert any("they go on if they publish again; the last: a" in text for text in said(daemon.effects))
    assert status_of(Predictor(model("gru")), stream="")["parked"] is None


def test_after_a_kill_a_stream_goes_on_from_whichever_of_the_two_is_further_on(
    tmp_path: Path, daemons: list[Daemon]
) -> None:
    daemon = Daemon(tmp_path, 1)
    daemons.append(daemon)
    daemon.say([chunk(0, [0.5, 0.1], stream="a")], 0.0)
    daemon.tick(0.1)
    old = daemon.checkpoint
    daemon.say([chunk(2, [0.5], stream="a")], 0.2)
    daemon.say([chunk(0, [0.5], stream="b")], 3.0)
    assert daemon.status["parked"] == 1
    again = Daemon(tmp_path, 5).begin(old)  # the checkpoint is behind
    daemons.append(again)
    assert again.core.streams["a"].order.next_seq == 3
    daemon.say([chunk(3, [0.5, 0.1], stream="a")], 6.0)
    daemon.tick(20.0)
    third = Daemon(tmp_path, 5)
    daemons.append(third)
    third.files.write("a", *_state_of(again, "a"), brief=True)
    third.begin(daemon.checkpoint)  # the file is
    assert third.core.streams["a"].order.next_seq == 5


def _state_of(daemon: Daemon, name: str) -> tuple[dict[str, object], checkpoint.Packed]:
    tree = daemon.core.streams[name].snapshot()
    assert tree is not None
    return {"identity": daemon.core._identity}, checkpoint.pack(tree, name)


def test_an_info_brings_a_stream_back(tmp_path: Path, daemons: list[Daemon]) -> None:
    daemon = Daemon(tmp_path, 1)
    daemons.append(daemon)
    daemon.say([chunk(0, [0.5, 0.1], stream="a")], 0.0)
    daemon.say([chunk(0, [0.5], stream="b")], 3.0)
    daemon.say([Info("a", 1, 2, 0, 100.0, 1, (), 0, 0, replays=False)], 6.0)
    assert set(daemon.core.streams) == {"a"}
    assert daemon.status["returned"] == 1


def test_who_begins_anew_does_not_go_on_from_an_older_file_later(tmp_path: Path, daemons: list[Daemon]) -> None:
    daemon = Daemon(tmp_path, 1)
    daemons.append(daemon)
    daemon.say([chunk(0, [0.5, 0.1], stream="a")], 0.0)
    daemon.say([chunk(0, [0.5], stream="b")], 3.0)
    daemon.say([chunk(2, [0.5], stream="a")], 6.0)
    daemon.error = "OSError: disk full"
    daemon.say([chunk(0, [0.5], stream="c")], 9.0)
    assert daemon.core.forgotten == 1
    assert key_of("a") not in [key for key, _, _ in daemon.files.index()]
