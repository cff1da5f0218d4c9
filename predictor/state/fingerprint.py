"""Whose state it is: what must be the same for a state to be gone on from."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from streamer.errors import StateError
from trainer.model import Model
from trainer.online.learner import Learner
from trainer.selfsupervised.learner import SelfConfig
from trainer.state import Tree

WORDS = {
    "model": "another model, or another version of it",
    "learning": "other settings of --learn",
    "nominal_hz": "another --nominal-hz",
}


def model_hash(model: Model) -> str:
    """Return the SHA-256 of a model's configuration and weights."""
    total = hashlib.sha256(json.dumps(asdict(model.config), sort_keys=True).encode())
    for name in sorted(model.weights):
        total.update(name.encode())
        total.update(model.weights[name].tobytes())
    return total.hexdigest()


def identity(
    model: Model,
    make_learner: Callable[[Model], Learner] | None,
    self_config: SelfConfig | None,
    nominal_hz: float | None,
) -> Tree:
    """Return what a predictor's states carry of its model and options."""
    learning: Any = make_learner(model).config if make_learner is not None else self_config
    return {
        "model": model_hash(model),
        "name": model.name,
        "learning": repr(learning),
        "nominal_hz": nominal_hz,
    }


def check_fingerprint(theirs: Tree, ours: Tree) -> None:
    """Refuse a state that these options do not go on from.

    Raises
    ------
    StateError
        If it is one.
    """
    for key, words in WORDS.items():
        if theirs.get(key) != ours[key]:
            was, now = (str(tree.get(key))[:200] for tree in (theirs, ours))
            if key == "model":
                was, now = f"{str(theirs.get('name'))[:60]} {was[:12]}", f"{ours['name']} {now[:12]}"
            raise StateError(
                f"the checkpoint there is of {words}: {was}, and this is {now}; start with what it was made with"
            )
