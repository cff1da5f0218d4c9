"""The moving picture of the tutorial network's lesson: ``python docs/figures/lesson.py`` writes lesson.svg.

The same seed gives the same losses; it needs the extra `train`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.offline.training import Progress, configure, train

HERE = Path(__file__).parent
HALF_CYCLE, HEIGHT = 80, 60  # pixels: of an update, of the amplitude 1
VIEW = (640, 230)
SECONDS_AN_UPDATE = 0.25
STILL_S = 3  # at the end

PAGE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
 aria-label="The network's answer meets the target as it learns, half-cycle by half-cycle">
<style>
text {{ font: 13px sans-serif; fill: #808080 }}
polyline {{ fill: none; stroke-linejoin: round }}
.input {{ stroke: #a0a0a0; stroke-width: 1.5 }}
.target {{ stroke: #e0524d; stroke-width: 1.5 }}
.network {{ stroke: #3f8fd8; stroke-width: 2.5 }}
#lesson {{ animation: scroll {total_s}s linear infinite }}
@keyframes scroll {{ to {{ transform: translateX(-{way}px) }} {still:.1f}% {{ transform: translateX(-{way}px) }} }}
@media (prefers-reduced-motion: reduce) {{ #lesson {{ animation: none }} }}
</style>
<text x="8" y="18">input: sin</text><line class="input" x1="75" x2="105" y1="14" y2="14"/>
<text x="130" y="18">target: cos</text><line class="target" x1="205" x2="235" y1="14" y2="14"/>
<text x="260" y="18">network</text><line class="network" x1="318" x2="348" y1="14" y2="14"/>
<g id="lesson">
{curves}
{labels}
</g>
</svg>
"""


def polyline(name: str, values: Sequence[np.ndarray]) -> str:
    """Return the curve of one value each of all updates."""
    points = [
        f"{(update + place / (len(half_cycle) - 1)) * HALF_CYCLE:.0f},{115 - HEIGHT * value:.1f}"
        for update, half_cycle in enumerate(values)
        for place, value in enumerate(np.clip(half_cycle, -1.5, 1.5))
    ]
    return f'<polyline class="{name}" points="{" ".join(points)}"/>'


def picture(lesson: Sequence[Progress]) -> str:
    """Return the animated picture of a lesson."""
    windows = [progress.window for progress in lesson if progress.window is not None]
    answers = [progress.estimates[:, 0, 0] for progress in lesson if progress.estimates is not None]
    curves = [
        polyline("input", [window.inputs[:, 0] for window in windows]),
        polyline("target", [window.targets[:, 0, 0] for window in windows]),
        polyline("network", answers),
    ]
    labels = [
        f'<text x="{made * HALF_CYCLE}" y="222">update {made + 1}: loss {progress.loss:.4f}</text>'
        for made, progress in enumerate(lesson)
        if made % 2 == 0
    ]
    moving_s = len(lesson) * SECONDS_AN_UPDATE
    total_s = moving_s + STILL_S
    return PAGE.format(
        width=VIEW[0], height=VIEW[1], total_s=total_s, still=100 * moving_s / total_s,
        way=len(lesson) * HALF_CYCLE - VIEW[0], curves="\n".join(curves), labels="\n".join(labels),
    )  # fmt: skip


if __name__ == "__main__":
    (HERE / "lesson.svg").write_text(picture(list(train(configure("tutorial")))))
