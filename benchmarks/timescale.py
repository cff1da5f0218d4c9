"""What a scaled time costs: phase error over samples a cycle, with `--nominal-hz` and without.

Run as ``python benchmarks/timescale.py [--short] [--json]``. Mean absolute phase error in degrees after 15 nominal
cycles, over 30 more (10 for --short), 20 tones with random phases; noise is white, full band.
`half octave`: frequencies drawn within half an octave around the nominal one; `chirp`: 0.8 to 1.2 times it;
`every`: the model on every D-th sample alone, in place of means of D.
"""

from collections.abc import Iterator

import numpy as np
from common import arguments, report
from numpy.typing import NDArray

from predictor.engine.stepper import Engine
from predictor.engine.timescale import Stepper, TimeScale, time_scale
from streamer.messages import FloatArray
from trainer.metrics import phase_error_deg
from trainer.model_file import load_model

SEED = 201
TONES = 20
WARM_UP_CYCLES = 15
SIGNALS: dict[str, tuple[float, float]] = {  # octaves around the nominal frequency, signal-to-noise ratio in dB
    "clean": (0.0, np.inf),
    "half octave": (0.5, np.inf),
    "20 dB": (0.0, 20.0),
    "10 dB": (0.0, 10.0),
    "5 dB": (0.0, 5.0),
    "chirp": (0.0, np.inf),
}

Float64Array = NDArray[np.float64]


def signal(name: str, cycle: float, cycles: float) -> tuple[FloatArray, Float64Array]:
    """Return what is heard [samples, tones] and the truth (cos, sin) [samples, tones, 2]."""
    octaves, snr_db = SIGNALS[name]
    generator = np.random.default_rng(SEED)
    samples = round(cycle * cycles)
    course = np.linspace(0.8, 1.2, samples)[:, None] if name == "chirp" else np.ones((samples, 1))
    frequency = course * 2 ** generator.uniform(-octaves, octaves, TONES) / cycle
    angle = 2 * np.pi * (np.cumsum(frequency, axis=0) + generator.uniform(size=TONES))
    noise = generator.standard_normal(angle.shape) * np.sqrt(0.5) * 10 ** (-snr_db / 20)
    return (np.sin(angle) + noise).astype(np.float32), np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def errors_deg(stepper: Stepper, heard: FloatArray, truth: Float64Array, warm_up: int) -> Float64Array:
    """Return the mean absolute phase error of each signal after so many samples.

    Parameters
    ----------
    stepper : Stepper
    heard : float32 array, shape (samples, signals * tones)
    truth : float64 array, shape (samples, signals * tones, 2)
    warm_up : int
    """
    estimates, _ = stepper.run(heard, stepper.initial_state(heard.shape[1]))
    late, true = estimates[warm_up:], truth[warm_up:]
    errors = phase_error_deg(late[..., 0], late[..., 1], true[..., 0], true[..., 1])
    means: Float64Array = errors.mean(axis=0).reshape(len(SIGNALS), TONES).mean(axis=1)
    return means


def rows(cycles: tuple[float, ...], length_cycles: float) -> Iterator[dict[str, object]]:
    """Yield one row a frequency and way of stepping."""
    model = load_model("default")
    engine = Engine(model.config, model.weights)
    for cycle in cycles:
        scale = time_scale(cycle, 1.0)
        ways: dict[str, tuple[Stepper, int]] = {"plain": (engine, 1), "scaled": (scale.stage(engine), 1)}
        if scale.samples > 1:
            ways["every"] = (engine, scale.samples)
        # All signals at once, as channels: a step costs little more with six times as many.
        pairs = [signal(name, cycle, length_cycles) for name in SIGNALS]
        heard, truth = (np.concatenate(parts, axis=1) for parts in zip(*pairs, strict=True))
        for way, (stepper, stride) in ways.items():
            warm_up = round(WARM_UP_CYCLES * cycle / stride)
            errors = errors_deg(stepper, np.ascontiguousarray(heard[::stride]), truth[::stride], warm_up)
            named = {name: f"{error:.2f}" for name, error in zip(SIGNALS, errors, strict=True)}
            yield {"samples a cycle": f"{cycle:g}", "way": way, "scale": _scale(scale), **named}


def _scale(scale: TimeScale) -> str:
    return f"{scale.samples} samples a step" if scale.samples > 1 else f"{scale.steps} steps a sample"


def main() -> None:
    """Measure and print."""
    chosen = arguments(__doc__)
    cycles = (6.0, 100.0) if chosen.short else (4.0, 5.0, 6.0, 8.0, 10.0, 50.0, 100.0, 400.0)
    length_cycles = 25.0 if chosen.short else 45.0
    title = f"phase error in degrees, default model, seed {SEED}"
    report(title, list(rows(cycles, length_cycles)), as_json=chosen.json)


if __name__ == "__main__":
    main()
