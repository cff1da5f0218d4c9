"""Phase, amplitude and frequency of an oscillation now: the Python API of sincos.

    import sincos

    q = sincos.Quadrature(rate_hz=250)                  # the daemon's own estimator, without sockets
    r = q.push(x)                                       # [samples] or [samples, channels]; again and again
    r.phase_deg, r.amplitude, r.frequency_hz, r.cos, r.sin
    sincos.apply("eeg.wav").phase_deg                   # a whole recording, bit for bit the same

    with sincos.publish("cz", rate_hz=250) as out:      # a source for `sincos predict`
        out.push(x)
    for r in sincos.listen("cz"):                       # its estimates as they come
        print(r.phase_deg)

Errors are those of one tree, under `SincosError`. Parts are imported once they are used.
"""

import importlib

TYPE_CHECKING = False  # as type checkers read it; `typing` takes longer to import than all else here
if TYPE_CHECKING:
    from predictor.api.estimates import Estimates as Estimates
    from predictor.api.listening import Published as Published
    from predictor.api.listening import listen as listen
    from predictor.api.publishing import publish as publish
    from predictor.api.quadrature import Quadrature as Quadrature
    from predictor.api.recording import apply as apply
    from streamer.errors import AddressError as AddressError
    from streamer.errors import FileError as FileError
    from streamer.errors import NothingHeard as NothingHeard
    from streamer.errors import SincosError as SincosError
    from streamer.errors import StateError as StateError
    from streamer.errors import UsageError as UsageError

_HOMES = {
    "Estimates": "predictor.api.estimates",
    "Published": "predictor.api.listening",
    "Quadrature": "predictor.api.quadrature",
    "apply": "predictor.api.recording",
    "listen": "predictor.api.listening",
    "publish": "predictor.api.publishing",
    "AddressError": "streamer.errors",
    "FileError": "streamer.errors",
    "NothingHeard": "streamer.errors",
    "SincosError": "streamer.errors",
    "StateError": "streamer.errors",
    "UsageError": "streamer.errors",
}

__all__ = [
    "AddressError",
    "Estimates",
    "FileError",
    "NothingHeard",
    "Published",
    "Quadrature",
    "SincosError",
    "StateError",
    "UsageError",
    "apply",
    "listen",
    "publish",
]


if not TYPE_CHECKING:  # which know every name, and that there are no others

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'sincos' has no attribute {name!r}; it has {', '.join(__all__)}")
        part = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = part
        return part


def __dir__() -> list[str]:
    return sorted(__all__)
