"""Sphinx configuration; `python -m sphinx -W -n docs build/site` builds the site. Nothing is fetched."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "sincos"
author = "the sincos developers"
copyright = f"2026, {author}"
version = release = version_of("sincos")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "command_reference", "self_contained"]
exclude_patterns = ["_ext", "_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
for name in ("golden", "asking"):  # messages in hexadecimal, which tests read
    lexers[name] = TextLexer()  # type: ignore[no-untyped-call]

autodoc_typehints = "none"  # docstrings say types in words
napoleon_google_docstring = False
napoleon_use_ivar = True
nitpick_ignore_regex = [("py:(class|exc)", ".*")]  # these words lead nowhere

smartquotes = False  # -- is an option

html_theme = "furo"
html_title = "sincos"
html_copy_source = False
html_show_sphinx = False
