"""P3: one stream in chunks of 100 samples, against torch's nn.RNN over the same chunks with carried state."""

import torch
from speed import Figure, figure, run, tanh_rnn

from predictor.bench.stopwatch import per_call_s
from predictor.bench.work import Work, steps
from trainer.model import Model
from trainer.offline.network import Network

CHUNK = 100


def torch_chunks(model: Model, samples: int = CHUNK) -> Work:
    """Return what torch does for the same chunk, head included, its state carried from call to call."""
    torch.set_num_threads(1)
    network = Network(model.config)
    cell, head = network.cell, network.head
    inputs = torch.randn(1, samples, 1)  # batch first
    hidden: object = None

    @torch.inference_mode()
    def forward() -> None:
        nonlocal hidden
        outputs, hidden = cell(inputs, hidden)
        head(outputs)

    return forward


def chunks(model: Model, rounds: int, name: str, goal: str = "", *, reference: Model | None = None) -> Figure:
    """Return samples a second; `reference` is what torch runs, if not the same model."""
    taken_s = per_call_s({"ours": steps(model, 1, CHUNK), "torch": torch_chunks(reference or model)}, rounds)
    rates = {key: [CHUNK / each_s for each_s in seconds] for key, seconds in taken_s.items()}
    return figure(name, rates["ours"], "samples/s", rates["torch"], goal)


def measure(short: bool) -> list[Figure]:
    """Step."""
    return [chunks(tanh_rnn(), 3 if short else 25, "chunks of 100, tanh RNN", ">= 3")]


if __name__ == "__main__":
    run("P3", "one stream in chunks of 100 samples; against torch nn.RNN with its head", measure)
