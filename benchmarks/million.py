"""What `sincos apply` takes for a recording of a million samples: processor time, and the most memory at once."""

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import arguments, report

SAMPLES = 1_000_000
CYCLE_SAMPLES = 25.0
SEED = 0
LOOK_S = 0.05


def measure(folder: Path, samples: int, *flags: str) -> dict[str, object]:
    """Run the command over a noisy sine; return its figures."""
    recording = folder / "recording.npy"
    noise = 0.1 * np.random.default_rng(SEED).standard_normal(samples)
    np.save(recording, (np.sin(2 * np.pi * np.arange(samples) / CYCLE_SAMPLES) + noise).astype(np.float32))
    command = [sys.executable, "-m", "predictor", "apply", str(recording), str(folder / "estimates.npy")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen([*command, *flags, "--quiet", "--json"], stdout=subprocess.PIPE) as process:
        largest_mb = watch(process)
        said = process.stdout.read() if process.stdout else b""
    if process.returncode:
        raise SystemExit(process.returncode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "command": " ".join(["sincos apply", *flags]),
        "samples": samples,
        "elapsed s": json.loads(said)["elapsed_s"],
        "processor s": processor_s,
        "us a sample": 1e6 * processor_s / samples,
        "largest MB": largest_mb,
    }


def watch(process: subprocess.Popen[bytes]) -> float:
    """Return the most resident memory of a process until its end, MB of 10^6 bytes (Linux only)."""
    status, largest_kb = Path(f"/proc/{process.pid}/status"), 0
    while process.poll() is None:
        peaks = re.findall(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.M)  # none once it has ended
        largest_kb = max([largest_kb, *map(int, peaks)])
        time.sleep(LOOK_S)
    return largest_kb * 1024 / 1e6


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    samples = SAMPLES // 100 if options.short else SAMPLES
    with tempfile.TemporaryDirectory(prefix="sincos-") as name:
        rows = [measure(Path(name), samples)]
        if not options.short:
            rows.append(measure(Path(name), samples, "--rate", "250", "--learn", "self", "--band", "8,12"))
    report("sincos apply, one channel, default model", rows, as_json=options.json)


if __name__ == "__main__":
    main()
