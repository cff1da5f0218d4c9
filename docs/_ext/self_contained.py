"""Ends the build with an error where a page would load anything from another host: fonts, scripts, styles."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import SphinxError

LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|link)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^\s\"'>]+"
)
LOADED_BY_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+")


def foreign(page: Path) -> list[str]:
    """Return what a page or style sheet would load from elsewhere."""
    text = page.read_text(errors="replace")
    return LOADED_BY_STYLE.findall(text) if page.suffix == ".css" else LOADED.findall(text)


def check(app: Sphinx, error: Exception | None) -> None:
    """Look at every page that was written."""
    if error is not None or app.builder.format != "html":
        return
    pages = [page for pattern in ("*.html", "*.css") for page in Path(app.outdir).rglob(pattern)]
    found = [f"{page.name}: {loaded}" for page in sorted(pages) for loaded in foreign(page)]
    if found:
        raise SphinxError("loaded from another host: " + "; ".join(found))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the check."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True}
