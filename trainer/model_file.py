"""Model files: safetensors with the configuration and provenance inside. Never pickle."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, deserialize
from safetensors.numpy import load, save

from streamer.errors import FileError, UsageError
from streamer.files.replacement import replacing
from trainer.filterbank.bank import DESIGN_NOMINAL_SAMPLES
from trainer.model import Model, ModelConfig

FORMAT = "sincos-model-1"
MAX_FILE_BYTES = 512 * 2**20
MAX_NUMBER = 1e9  # what a configuration needs is smaller; a whole number in JSON may have thousands of digits
SHIPPED = ("default", "tutorial")


def save_model(model: Model, path: Path) -> None:
    """Write a model file.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    config = {
        "cell": model.config.cell,
        "hidden": model.config.hidden,
        "layers": model.config.layers,
        "fields": list(model.config.fields),
        "level_samples": model.config.level_samples,
        "nominal_samples": model.config.nominal_samples,
    }
    metadata = {
        "format": FORMAT,
        "config": json.dumps(config),
        "provenance": json.dumps(dict(model.provenance)),
    }
    try:
        with replacing(path) as file:
            # Not save_file, which leaves files that their owner alone may read.
            file.write(save(dict(model.weights), metadata=metadata))
    except (OSError, SafetensorError) as error:
        raise FileError(f"cannot write model file {path}: {error}") from None


def load_model(name_or_path: str) -> Model:
    """Return a shipped model by name (`default`, `tutorial`), or the one in a file.

    Raises
    ------
    FileError
        If there is no such file, or what is in it is not a model.
    """
    if name_or_path in SHIPPED:
        with resources.as_file(resources.files("trainer") / "models" / f"{name_or_path}.safetensors") as path:
            return _read(path, name_or_path)
    return _read(Path(name_or_path), Path(name_or_path).stem)


def _read(path: Path, name: str) -> Model:
    try:
        if not path.is_file():
            raise FileError(f"no model {str(path)!r}: give one of {', '.join(SHIPPED)}, new, or a file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileError(f"model file {path}: larger than {MAX_FILE_BYTES} bytes")
        # Read and not mapped: a file that is cut while it is mapped kills the process (SIGBUS).
        content = path.read_bytes()
        found = {key: tuple(entry["shape"]) for key, entry in deserialize(content)}  # type: ignore[no-untyped-call]
        metadata = _metadata(content)
        config = _config(path, metadata)
        # Names and shapes before arrays: nothing is made that the configuration does not ask for.
        shapes = config.weight_shapes()
        if set(found) != set(shapes):
            raise FileError(f"model file {path}: its weights do not fit its configuration")
        for key, shape in shapes.items():
            if found[key] != shape:
                raise FileError(f"model file {path}: weights: {key} must be {shape}, got {str(found[key])[:60]}")
        weights = {key: array.copy() for key, array in load(content).items()}
        provenance = _object(path, "provenance", metadata)
        return Model(name, config, weights, {key: str(value) for key, value in provenance.items()})
    except UsageError as error:
        raise FileError(f"model file {path}: {error}") from None
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(f"model file {path}: cannot be read: {error}") from None


def _metadata(content: bytes) -> dict[str, str]:
    """Return what stands beside the weights of a file that has been found sound."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return dict(header.get("__metadata__", {}))


def _object(path: Path, key: str, metadata: dict[str, str]) -> dict[str, Any]:
    try:
        value = json.loads(metadata.get(key, "{}"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise FileError(f"model file {path}: {key} is not a JSON object")
    return value


def _config(path: Path, metadata: dict[str, str]) -> ModelConfig:
    if metadata.get("format") != FORMAT:
        raise FileError(f"model file {path}: format must be {FORMAT}, got {metadata.get('format')!r}")
    config = _object(path, "config", metadata)
    cell, hidden, layers = config.get("cell"), config.get("hidden"), config.get("layers")
    fields, level_samples = config.get("fields"), config.get("level_samples")
    nominal_samples = config.get("nominal_samples", DESIGN_NOMINAL_SAMPLES)  # files from before there was one
    if not isinstance(cell, str) or type(hidden) is not int or type(layers) is not int:
        raise FileError(f"model file {path}: needs a cell, and whole numbers as hidden and layers")
    if not isinstance(fields, list):
        raise FileError(f"model file {path}: needs a list of fields")
    numbers = (_number(path, "level_samples", level_samples), _number(path, "nominal_samples", nominal_samples))
    return ModelConfig(cell, hidden, layers, tuple(fields), *numbers)


def _number(path: Path, key: str, value: object) -> float:
    """Return a finite number; true and false are none."""
    if type(value) not in (int, float) or not -MAX_NUMBER <= value <= MAX_NUMBER:  # type: ignore[operator]
        raise FileError(f"model file {path}: {key} must be a number, got {str(value)[:60]}")
    return float(value)  # type: ignore[arg-type]
