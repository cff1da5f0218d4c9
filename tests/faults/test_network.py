"""What a network does to messages and connections."""

import shutil
import subprocess
import time
from collections.abc import Iterator

import numpy as np
import pytest

from streamer.messages import Kind
from tests.support import plainwire
from tests.support.ear import Ear
from tests.support.fixtures import Dose, Inject, Listen
from tests.support.frameproxy import FrameProxy, Mischief
from tests.support.ports import REPLAY_OFFSET, Ports
from tests.support.processes import Starter
from tests.support.scene import Scene, must_keep_the_promise
from tests.support.tcprelay import TcpRelay

MISCHIEFS = {
    "dropped": Mischief(drop=0.1),
    "duplicated": Mischief(duplicate=0.2),
    "reordered": Mischief(reorder=0.2),
    "delayed": Mischief(delay=0.05),
    "everything": Mischief(drop=0.05, duplicate=0.05, reorder=0.05, delay=0.02, drop_replay=0.1),
}

MEANT = {name: [name] for name in MISCHIEFS} | {"everything": ["dropped", "duplicated", "reordered", "delayed"]}


@pytest.mark.parametrize("learn", [None, "target"])
@pytest.mark.parametrize(
    "mischief",
    [*(pytest.param(name, marks=pytest.mark.release) for name in list(MISCHIEFS)[:-1]), "everything"],
)
def test_messages_lost_doubled_late_and_out_of_order_change_no_estimate(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, dose: Dose,
    mischief: str, learn: str | None,
) -> None:  # fmt: skip
    scene = Scene(learn=learn, seed=int(rng.integers(1000)), target_delay=int(rng.integers(20)))
    count = dose.pick(quick=800, release=10_000)
    source_port, proxy_port, predict_at = ports(), ports(), ports.address()
    ear = listen(predict_at)
    options = ("--count", count, "--wait", "--linger", 600)
    source = start("source", "--bind", f"tcp://127.0.0.1:{source_port}", *options, *scene.source())
    with FrameProxy(proxy_port, source_port, MISCHIEFS[mischief], rng) as proxy:
        predict = start(
            "predict",
            "--source",
            f"tcp://127.0.0.1:{proxy_port}",
            "--bind",
            predict_at,
            "--wait",
            *scene.predict(),
        )
        ear.wait_for_all(count)
        body = settled(ear, proxy)
        for command in (predict, source):
            assert command.stop() == 0
    must_keep_the_promise(ear, scene, count)
    faults = {name: number for name, number in proxy.counts.items() if name not in ("requests", "answers")}
    assert all(faults.get(name) for name in MEANT[mischief])
    kinds = (plainwire.INPUT, plainwire.TARGET) if learn else (plainwire.INPUT,)
    assert body["duplicates"] == sum(proxy.repeated(kind, ear.newest_run) for kind in kinds)
    assert body["gaps"] == 0
    what = f"messages between source and predictor {mischief}{', --learn' if learn else ''}"
    injected(what, sum(faults.values()), **faults)


def settled(ear: Ear, proxy: FrameProxy) -> dict[str, object]:
    """Wait until nothing more is on its way; return what the predictor then says of the stream."""
    ear.wait(lambda: proxy.is_quiet, "the last message", provoke=True)
    return ear.wait_for_status("demo")


def test_messages_of_a_past_run_are_dropped(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, dose: Dose
) -> None:
    count = dose.pick(quick=400, release=4000)
    source_port, proxy_port, predict_at = ports(), ports(), ports.address()
    ear = listen(predict_at)
    with FrameProxy(proxy_port, source_port, Mischief(stale=0.2), rng) as proxy:
        predict = start(
            "predict",
            "--source",
            f"tcp://127.0.0.1:{proxy_port}",
            "--bind",
            predict_at,
            "--wait",
            "--model",
            "new",
        )
        for seed in range(2):
            options = ("--count", count, "--wait", "--linger", 600)
            source = start(
                "source", "--bind", f"tcp://127.0.0.1:{source_port}", *options, *Scene(seed=seed).source()
            )
            ear.wait(lambda seed=seed: len(ear.runs) > seed, "a new run")  # type: ignore[misc]
            ear.wait_for_all(count)
            settled(ear, proxy)
            assert source.stop() == 0
        assert predict.stop() == 0
    assert len(ear.runs) == 2
    for seed, run in enumerate(ear.runs):
        ear.newest_run = run
        must_keep_the_promise(ear, Scene(seed=seed), count)
    assert proxy.counts["stale"] > 0
    injected("messages of a past run said again", proxy.counts["stale"])


@pytest.mark.parametrize(
    ("how", "cut_s"),
    [
        ("cut", 1),
        *(pytest.param(*each, marks=pytest.mark.release) for each in (("cut", 10), ("freeze", 1), ("freeze", 10))),
    ],
)
def test_a_cable_cut_within_retention_loses_nothing(
    start: Starter, ports: Ports, listen: Listen, injected: Inject, how: str, cut_s: int
) -> None:
    scene = Scene(learn="target")
    source_port, relay_port, predict_at = ports(), ports(), ports.address()
    ear = listen(predict_at)
    source = start("source", "--bind", f"tcp://127.0.0.1:{source_port}", "--wait", "--linger", 60, *scene.source())
    with TcpRelay(*ways(relay_port, source_port)) as relay:
        predict = start(
            "predict",
            "--source",
            f"tcp://127.0.0.1:{relay_port}",
            "--bind",
            predict_at,
            "--wait",
            *scene.predict(),
        )
        ear.wait_for_seq(100)
        getattr(relay, how)()
        before = ear.next_seq
        time.sleep(cut_s)
        assert ear.next_seq - before < 100  # nothing came through but what was on its way
        relay.mend()
        took_s = ear.wait_for_seq(before + round(cut_s * scene.rate_hz))
        count = ear.next_seq
        must_keep_the_promise(ear, scene, count)
        assert ear.wait_for_status("demo")["gaps"] == 0
        assert how == "freeze" or relay.severed >= 1
        for command in (predict, source):
            assert command.stop() == 0
    word = "cut" if how == "cut" else "silent"
    injected(f"connections {word} for {cut_s} s", 1, recovery_s=round(took_s, 2))


@pytest.mark.parametrize(
    ("reset_on_gap", "learn"),
    [
        (False, None),
        pytest.param(True, None, marks=pytest.mark.release),
        pytest.param(False, "self", marks=pytest.mark.release),
    ],
)
def test_a_cable_cut_for_longer_than_the_source_retains_is_a_gap_of_exactly_that_range(
    start: Starter, ports: Ports, listen: Listen, injected: Inject, reset_on_gap: bool, learn: str | None
) -> None:
    scene = Scene(learn=learn, reset_on_gap=reset_on_gap)
    source_port, relay_port, predict_at = ports(), ports(), ports.address()
    ear = listen(predict_at)
    source = start(
        "source",
        "--bind",
        f"tcp://127.0.0.1:{source_port}",
        "--wait",
        "--retain",
        0.3,
        "--linger",
        60,
        *scene.source(),
    )
    with TcpRelay(*ways(relay_port, source_port)) as relay:
        predict = start(
            "predict",
            "--source",
            f"tcp://127.0.0.1:{relay_port}",
            "--bind",
            predict_at,
            "--wait",
            *scene.predict(),
        )
        ear.wait_for_seq(100)
        relay.cut()
        before = ear.next_seq
        time.sleep(1.0)
        relay.mend()
        ear.wait_for_seq(before + 500)
        ear.wait_for_seq(ear.next_seq + 100)
        count = ear.next_seq
        gaps = ear.missing(count)
        must_keep_the_promise(ear, scene, count, [(Kind.INPUT, gap) for gap in gaps])
        missing = sum(map(len, gaps))
        assert missing > 100
        assert ear.wait_for_status("demo")["gap_samples"] == missing
        assert all(ear.heard()[gap.stop].tally == 0 for gap in gaps)
        predict.says(r"GAP: samples \d+ to \d+ ")
        for command in (predict, source):
            assert command.stop() == 0
    policy = "reset" if reset_on_gap else "hold"
    injected(f"connections cut for longer than retention, --on-gap {policy}", 1, gap_samples=missing)


@pytest.mark.parametrize("learn", ["target", pytest.param("self", marks=pytest.mark.release)])
def test_what_is_learnt_over_a_gap_is_what_an_undisturbed_predictor_learns_without_those_samples(
    start: Starter, ports: Ports, listen: Listen, rng: np.random.Generator, injected: Inject, learn: str
) -> None:
    """Inputs and targets that neither came nor were kept, each of its own range."""
    scene = Scene(learn=learn, seed=int(rng.integers(1000)), target_delay=int(rng.integers(30)))
    source_port, proxy_port, predict_at = ports(), ports(), ports.address()
    ear = listen(predict_at)
    options = ("--wait", "--retain", 0.3, "--linger", 60)
    source = start("source", "--bind", f"tcp://127.0.0.1:{source_port}", *options, *scene.source())
    with FrameProxy(proxy_port, source_port, Mischief(), rng) as proxy:
        predict = start(
            "predict",
            "--source",
            f"tcp://127.0.0.1:{proxy_port}",
            "--bind",
            predict_at,
            "--wait",
            *scene.predict(),
        )
        ear.wait_for_seq(int(rng.integers(50, 200)))
        before = ear.next_seq
        proxy.blackout.set()
        time.sleep(1.0)
        proxy.blackout.clear()
        ear.wait_for_seq(before + 700)
        count = ear.next_seq
        run = ear.newest_run
        gaps = [(kind, gap) for kind in (Kind.INPUT, Kind.TARGET) for gap in proxy.missing(kind, run)]
        assert {kind for kind, _ in gaps} == {Kind.INPUT, Kind.TARGET}
        must_keep_the_promise(ear, scene, count, gaps)
        for command in (predict, source):
            assert command.stop() == 0
    what = f"messages lost for longer than retention, --learn {learn}"
    injected(what, proxy.counts["blacked out"], gap_samples=sum(len(gap) for _, gap in gaps))


def ways(near: int, far: int) -> list[tuple[int, int]]:
    return [(near, far), (near + REPLAY_OFFSET, far + REPLAY_OFFSET)]


# A real link between two network namespaces


@pytest.fixture
def link() -> Iterator[str]:
    """A namespace that reaches us over a link; the name of the namespace, and of our end."""
    name = f"sincos{time.time_ns() % 10**8}"
    if shutil.which("ip") is None:
        pytest.skip("no ip command to make network namespaces with")
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"network namespaces are not allowed here: {made.stderr.strip()}")
    try:
        for command in (
            f"ip link add {name} type veth peer name far netns {name}",
            f"ip addr add 10.213.77.1/30 dev {name}",
            f"ip link set {name} up",
            f"ip -n {name} addr add 10.213.77.2/30 dev far",
            f"ip -n {name} link set far up",
            f"ip -n {name} link set lo up",
        ):
            done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"a link between network namespaces is not allowed here: {done.stderr.strip()}")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.parametrize("cut_s", [1, pytest.param(10, marks=pytest.mark.release)])
def test_a_link_between_network_namespaces_that_goes_down_loses_nothing(
    start: Starter, ports: Ports, listen: Listen, injected: Inject, link: str, cut_s: int
) -> None:
    scene = Scene(learn="target")
    source_at, predict_at = f"tcp://10.213.77.2:{ports()}", ports.address()
    ear = listen(predict_at)
    source = start(
        "source", "--bind", source_at, "--insecure", "--wait", "--linger", 60, *scene.source(),
        prefix=["ip", "netns", "exec", link],
    )  # fmt: skip
    predict = start(
        "predict", "--source", source_at, "--insecure", "--bind", predict_at, "--wait", *scene.predict()
    )
    ear.wait_for_seq(100)
    subprocess.run(["ip", "-n", link, "link", "set", "far", "down"], check=True)
    before = ear.wait_for_quiet()
    time.sleep(cut_s)
    assert ear.next_seq == before
    subprocess.run(["ip", "-n", link, "link", "set", "far", "up"], check=True)
    took_s = ear.wait_for_seq(before + round(cut_s * scene.rate_hz))
    count = ear.next_seq
    must_keep_the_promise(ear, scene, count)
    assert ear.wait_for_status("demo")["gaps"] == 0
    for command in (predict, source):
        assert command.stop() == 0
    injected(f"a link between network namespaces down for {cut_s} s", 1, recovery_s=round(took_s, 2))
