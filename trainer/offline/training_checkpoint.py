"""Checkpoints: what an interrupted training goes on from, as safetensors. Never pickle."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from streamer.errors import FileError, UsageError
from streamer.files.replacement import replacing
from trainer.model import Weights
from trainer.offline.general import TrainingState
from trainer.offline.training import TrainConfig

FORMAT = "sincos-checkpoint-1"
PARTS = ("weights", "averages", "first_moments", "second_moments", "best")


def checkpoint_path(model_path: Path) -> Path:
    """Return where the checkpoint of a training stands, beside the model it is to make."""
    return model_path.with_name(model_path.name + ".checkpoint")


def save_checkpoint(config: TrainConfig, state: TrainingState, path: Path) -> None:
    """Write a checkpoint.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    arrays = {
        f"{part}/{name}": np.ascontiguousarray(array)
        for part in PARTS
        for name, array in getattr(state, part).items()
    }
    metadata = {
        "format": FORMAT,
        "config": _spelt(config),
        "updates": str(state.updates),
        "best_loss": repr(state.best_loss),
    }
    try:
        with replacing(path) as file:
            file.write(save(arrays, metadata=metadata))
    except (OSError, SafetensorError) as error:
        raise FileError(f"cannot write checkpoint {path}: {error}") from None


def load_checkpoint(config: TrainConfig, path: Path) -> TrainingState:
    """Return what a training with this configuration goes on from.

    Raises
    ------
    FileError
        If the file is not there, or no checkpoint.
    UsageError
        If it is of a training with another configuration.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise FileError(f"checkpoint {path}: format must be {FORMAT}, got {metadata.get('format')!r}")
            if metadata.get("config") != _spelt(config):
                raise UsageError(
                    f"--resume: {path} is of a training with other options, {metadata.get('config')}; "
                    f"these are {_spelt(config)}"
                )
            parts: dict[str, Weights] = {
                part: {name: file.get_tensor(f"{part}/{name}") for name in config.model.weight_shapes()}
                for part in PARTS
            }
        return TrainingState(int(metadata["updates"]), **parts, best_loss=float(metadata["best_loss"]))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise FileError(f"checkpoint {path}: cannot be read: {error}") from None


def _spelt(config: TrainConfig) -> str:
    return json.dumps(asdict(config), sort_keys=True)
