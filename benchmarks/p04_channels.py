"""P4: 1,024 channels of one stream on one core, against NumPy's own product and tanh, and torch's cell."""

import torch
from speed import Figure, figure, run, tanh_rnn

from predictor.bench.stopwatch import per_call_s
from predictor.bench.work import Work, bare_step, steps

CHANNELS = 1024
UNITS = 32


def torch_cell(*, head: bool) -> Work:
    """Return torch's own cell function on one thread, with or without the head."""
    torch.set_num_threads(1)
    cell, linear = torch.nn.RNNCell(1, UNITS), torch.nn.Linear(UNITS, 2)
    weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
    inputs, hidden = torch.randn(CHANNELS, 1), torch.zeros(CHANNELS, UNITS)

    @torch.inference_mode()
    def forward() -> None:
        after = torch.rnn_tanh_cell(inputs, hidden, *weights)
        if head:
            linear(after)

    return forward


def measure(short: bool) -> list[Figure]:
    """Step; the engine's time includes the head, the given state and the new one."""
    calls = {
        "ours": steps(tanh_rnn(), CHANNELS),
        "chunk": steps(tanh_rnn(), CHANNELS, samples=8),
        "bare": bare_step(UNITS, UNITS + 2, CHANNELS),
        "torch": torch_cell(head=False),
        "torch and head": torch_cell(head=True),
    }
    taken_s = per_call_s(calls, 3 if short else 25)
    rates = {name: [CHANNELS / 1e6 / each_s for each_s in seconds] for name, seconds in taken_s.items()}
    rates["chunk"] = [8 * rate for rate in rates["chunk"]]
    return [
        figure("against a bare product and tanh", rates["ours"], "M/s", rates["bare"], ">= 0.5333 (8 of 15)"),
        figure("against torch.rnn_tanh_cell and its head", rates["ours"], "M/s", rates["torch and head"], ">= 2"),
        figure("against torch.rnn_tanh_cell without a head", rates["ours"], "M/s", rates["torch"]),
        figure(
            "the bound: a bare product and tanh, against torch and its head",
            rates["bare"],
            "M/s",
            rates["torch and head"],
        ),
        figure("8 samples a message, against a bare product and tanh", rates["chunk"], "M/s", rates["bare"]),
    ]


if __name__ == "__main__":
    run("P4", "1,024 channels of one stream, one core; tanh RNN, 32 units", measure)
