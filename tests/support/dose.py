"""How much of what is expensive a run proves: `--dose quick` at each change, `--dose release` before a release.

A quick run draws other examples each time, so many quick runs see what one of a release does.
"""

from dataclasses import dataclass

from hypothesis import settings

NAMES = ("quick", "release")

for _name, _examples in zip(NAMES, (40, 200), strict=True):
    # An example may take long where others run beside it: no deadline.
    settings.register_profile(_name, deadline=None, max_examples=_examples)


@dataclass(frozen=True, slots=True)
class Dose:
    """One of the doses."""

    name: str

    def pick(self, *, quick: int, release: int) -> int:
        """Return how often something is done."""
        return release if self.name == "release" else quick


_chosen = Dose(NAMES[0])


def choose(name: str) -> None:
    """Have all that is expensive done in this dose; before tests are imported."""
    global _chosen
    _chosen = Dose(name)
    settings.load_profile(name)


def pick(*, quick: int, release: int) -> int:
    """Return how often something is done in this run."""
    return _chosen.pick(quick=quick, release=release)


def chosen() -> Dose:
    """Return the dose of this run."""
    return _chosen


def examples(quick: int, *, release: int, **more: object) -> settings:
    """Return the settings of a property test that draws so many examples."""
    return settings(max_examples=pick(quick=quick, release=release), deadline=None, **more)  # type: ignore[arg-type]
