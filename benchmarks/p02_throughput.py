"""P2: one-sample messages a second through the predictor, against a bare pyzmq echo."""

from collections.abc import Sequence

from speed import Figure, figure, run

from predictor.bench.feed import Order
from predictor.bench.lane import Lane


def throughput(model: Sequence[str], *, rounds: int, messages: int, name: str, goal: str = "") -> list[Figure]:
    """Return messages a second of one stream, and of 256 that take turns."""
    rates: dict[str, list[float]] = {"echo": [], "one": [], "many": []}
    with Lane("echo", None) as echo, Lane("predict", model) as predict:
        for _ in range(rounds):
            rates["echo"].append(echo.pump(Order(messages)))
            rates["one"].append(predict.pump(Order(messages)))
            rates["many"].append(predict.pump(Order(messages, "many", streams=256)))
    return [
        figure(f"{name}one stream", rates["one"], "messages/s", rates["echo"], goal),
        figure(f"{name}256 streams in turn", rates["many"], "messages/s", rates["echo"]),
    ]


def measure(short: bool) -> list[Figure]:
    """Pump."""
    rounds, messages = (3, 3_000) if short else (15, 15_000)
    return throughput(["--model", "tutorial"], rounds=rounds, messages=messages, name="", goal=">= 0.85")


if __name__ == "__main__":
    run("P2", "one-sample messages a second; tanh RNN, 32 units; against a bare echo", measure)
