"""P5: predict and learn on every sample, window 10, stride 10, against deep-river's RollingRegressor.

deep-river 0.3.4 pins another torch. It is installed without its dependencies into a folder of the user's cache,
and runs in a process of its own with this environment's torch, so that both use the same one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from speed import Figure, figure, run

PACKAGES = (
    "deep-river==0.3.4", "river>=0.25,<0.26", "pandas>=2.2,<3", "scikit-learn>=1.5.1,<2", "scipy", "joblib", "six",
    "threadpoolctl", "sortedcontainers", "tqdm", "torchviz", "graphviz", "python-dateutil", "pytz", "tzdata",
)  # fmt: skip

THEIRS = """
import json, math, sys, time
import torch
from deep_river.regression import RollingRegressor

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = torch.nn.RNN(1, 32), torch.nn.Linear(32, 2)
    def forward(self, x):
        return self.head(self.rnn(x)[0][-1])[:, :1]

torch.set_num_threads(1)
model = RollingRegressor(Net(), loss_fn="mse", optimizer_fn="adam", lr=0.01, window_size=10)
n = 0
for line in sys.stdin:
    count = int(line)
    start = time.perf_counter()
    for n in range(n, n + count):
        model.predict_one({"x": math.sin(0.3 * n)})
        model.learn_one({"x": math.sin(0.3 * n)}, math.cos(0.3 * n))
    print(json.dumps((time.perf_counter() - start) / count), flush=True)
"""

OURS = """
import json, math, sys, time
from functools import partial
import numpy as np
from predictor.daemon.core import Predictor
from streamer.clock import Instant
from streamer.messages import Chunk, Kind
from trainer.model import ModelConfig, new_model
from trainer.online import OnlineConfig, OnlineLearner

stride = int(sys.argv[1])
config = OnlineConfig(window_samples=10, stride_samples=stride, learning_rate=0.01)
core = Predictor(new_model(ModelConfig("rnn", 32), 0), make_learner=partial(OnlineLearner, config=config))
n = 0
for line in sys.stdin:
    count = int(line)
    start = time.perf_counter()
    for n in range(n, n + count):
        now = Instant(n, n)
        for kind, wave in ((Kind.INPUT, math.sin), (Kind.TARGET, math.cos)):
            values = np.array([[[wave(0.3 * n)]]], np.float32)
            for effect in core.receive([Chunk(kind, "s", 1, n, n, 1000.0, values)], now):
                pass
    n += 1
    print(json.dumps((time.perf_counter() - start) / count), flush=True)
"""


def theirs_installed() -> Path:
    """Return the folder that deep-river is in, installing it at the first call."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sincos" / "deep-river-0.3.4"
    if not (cache / "deep_river").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(cache), *PACKAGES]
        subprocess.run(pip, check=True, stdout=sys.stderr)
    return cache


class Child:
    """A program that answers a number of samples with the seconds each took."""

    def __init__(self, program: str, *arguments: str, path: Path | None = None) -> None:
        here = Path(__file__).parent.parent
        paths = [str(here), *([str(path)] if path else [])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def per_sample_s(self, samples: int) -> float:
        """Let it do so many samples."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{samples}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("deep-river or its counterpart ended; what it said stands above")
        return float(json.loads(line))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def measure(short: bool) -> list[Figure]:
    """Predict and learn, a round of each in turn."""
    rounds, samples = (3, 100) if short else (11, 500)
    children = {
        "ours": Child(OURS, "10"),
        "stride 1": Child(OURS, "1"),
        "theirs": Child(THEIRS, path=theirs_installed()),
    }
    try:
        for child in children.values():
            child.per_sample_s(50)
        taken: dict[str, list[float]] = {name: [] for name in children}
        for _ in range(rounds):
            for name, child in children.items():
                taken[name].append(1 / child.per_sample_s(samples))
    finally:
        for child in children.values():
            child.close()
    return [
        figure("stride 10", taken["ours"], "samples/s", taken["theirs"], ">= 15"),
        figure("stride 1: as many updates as deep-river makes", taken["stride 1"], "samples/s", taken["theirs"]),
    ]


if __name__ == "__main__":
    run("P5", "predict and learn on every sample, window 10; against deep-river 0.3.4 RollingRegressor", measure)
