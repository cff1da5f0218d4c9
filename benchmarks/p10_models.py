"""P10: the shipped general model, a gru and an lstm on the measures of P1 to P4."""

from p01_latency import latency
from p02_throughput import throughput
from p03_chunks import chunks
from speed import Figure, figure, run

from predictor.bench.stopwatch import per_call_s
from predictor.bench.work import bare_step, steps
from trainer.model import ModelConfig, new_model
from trainer.model_file import load_model

CHANNELS = 1024


def measure(short: bool) -> list[Figure]:
    """Measure each model in turn."""
    rounds, pings, messages = (2, 100, 2_000) if short else (9, 500, 10_000)
    models = {
        "default": (["--model", "default"], load_model("default")),
        "gru 32": (["--model", "new", "--cell", "gru"], new_model(ModelConfig("gru", 32), 0)),
        "lstm 32": (["--model", "new", "--cell", "lstm"], new_model(ModelConfig("lstm", 32), 0)),
    }
    lstm = models["lstm 32"][1]  # torch has no module for the default model's bank
    figures: list[Figure] = []
    for name, (flags, model) in models.items():
        figures += latency(flags, rounds=rounds, pings=pings, pause_s=0, name=f"{name}: answer", goals=False)
        figures += throughput(flags, rounds=rounds, messages=messages, name=f"{name}: ")
        if name == "default":
            figures.append(
                chunks(model, rounds, "default: chunks of 100, against torch's LSTM 32", reference=lstm)
            )
        else:
            figures.append(chunks(model, rounds, f"{name}: chunks of 100, against torch"))
        calls = {"ours": steps(model, CHANNELS), "bare": bare_step(32, 34, CHANNELS)}
        rates = {
            key: [CHANNELS / 1e6 / each_s for each_s in seconds]
            for key, seconds in per_call_s(calls, rounds).items()
        }
        what = f"{name}: 1,024 channels, against a bare tanh step"
        figures.append(figure(what, rates["ours"], "M/s", rates["bare"]))
    return figures


if __name__ == "__main__":
    run("P10", "the shipped general model, gru and lstm; P1 and P2 against a bare echo", measure)
