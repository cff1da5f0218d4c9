"""Figures of learning: target and prediction over time, written to a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from streamer.errors import FileError
from streamer.files.replacement import replacing
from streamer.messages import FloatArray

WIDTH_INCHES = 14.0
PANEL_INCHES = 2.5
DOTS_PER_INCH = 100


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One pair of curves.

    Parameters
    ----------
    title : str
    target, prediction : float32 arrays, shape (samples,)
    """

    title: str
    target: FloatArray
    prediction: FloatArray


def check_format(path: Path) -> None:
    """Refuse a file whose ending names no kind of picture.

    Raises
    ------
    FileError
        If it does.
    """
    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in known:
        endings = ", ".join(sorted(known))
        raise FileError(f"plot file {path}: its ending must be one of {endings}")


def save(panels: Sequence[Panel], path: Path) -> None:
    """Draw panels below each other, the target red and the prediction blue.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    figure = Figure(figsize=(WIDTH_INCHES, PANEL_INCHES * max(2, len(panels))), layout="constrained")
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        axes.plot(panel.target, "r-", linewidth=1, label="target")
        axes.plot(panel.prediction, "b-", linewidth=1, label="prediction")
        axes.set_title(panel.title)
        axes.set_xlabel("sample")
        axes.margins(x=0)
        axes.legend(loc="upper right")
    try:
        with replacing(path) as file:
            figure.savefig(file, dpi=DOTS_PER_INCH, format=path.suffix.lstrip(".").lower())
    except OSError as error:
        raise FileError(f"plot file {path}: cannot be written: {error.strerror or error}") from None
