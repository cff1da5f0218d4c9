"""What Linux says of a process."""

from pathlib import Path


def peak_mb(pid: int) -> float:
    """The most memory the process has held so far."""
    return _status_kb(pid, "VmHWM") / 1024


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped all its threads."""
    return all(_state(task / "stat") == "T" for task in Path(f"/proc/{pid}/task").iterdir())


def children(pid: int) -> list[int]:
    """The processes it has started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _status_kb(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/status: no {name}")


def _state(path: Path) -> str:
    return path.read_text().rpartition(")")[2].split()[0]
