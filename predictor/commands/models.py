"""Which model a command serves."""

from streamer.errors import UsageError
from trainer.model import Model, ModelConfig, new_model
from trainer.modelfile import SHIPPED, load_model

NEW = "new"
NEW_LEVEL_SAMPLES = 20.0  # one cycle at the default source's 5 Hz and 100 samples/s


def is_file(name: str) -> bool:
    """Return whether a name given as --model is that of a file."""
    return name != NEW and name not in SHIPPED


def choose_model(name: str, shape: dict[str, str | int | None], seed: int | None) -> Model:
    """Return a shipped model, the one in a file, or `new` with random weights.

    Parameters
    ----------
    name : str
    shape : mapping
        `cell`, `hidden`, `layers` of a new model; None where not chosen.
    seed : int or None
        Of a new model's weights.

    Raises
    ------
    UsageError
        If a shape or seed is chosen for a model that has its own, or cannot be.
    FileError
        If there is no such model.
    """
    chosen = {key: value for key, value in shape.items() if value is not None}
    if name == NEW:
        return new_model(ModelConfig(level_samples=NEW_LEVEL_SAMPLES, **chosen), seed or 0)  # type: ignore[arg-type]
    if chosen or seed is not None:
        raise UsageError(f"--cell, --hidden, --layers, --seed: these shape --model new; {name!r} is as it is")
    return load_model(name)
