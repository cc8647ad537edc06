"""How Sphinx builds the documentation."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

_HERE = Path(__file__).resolve().parent

# The reference is rendered from this checkout, not from what may be installed.
sys.path[:0] = [str(_HERE.parent), str(_HERE)]

from lbproxy import __version__  # noqa: E402 (only now is it found)

project = "lbproxy"
release = __version__

extensions = ["pydoctor.sphinx_ext.build_apidocs", "sphinx.ext.intersphinx"]
# The API reference, from docstrings in epytext.
pydoctor_args = [
    "--project-name=lbproxy",
    f"--project-version={release}",
    "--project-url=../index.html",
    "--docformat=epytext",
    "--system-class=apilinks.LinkedSystem",
    "--privacy=HIDDEN:lbproxy.__main__",
    "--html-output={outdir}/api",
    str(_HERE.parent / "lbproxy"),
]
# Where a page links to for what is in it.
pydoctor_url_path = "api/"
intersphinx_mapping: dict[str, object] = {}

html_theme = "alabaster"
nitpicky = True
# Quotes are part of what is shown: one copies them into a file.
smartquotes = False
# reference-keys.rst is part of reference.rst, and the examples are shown on pages.
exclude_patterns = ["_build", "examples", "reference-keys.rst"]


def writeReferenceKeys(app: Sphinx) -> None:
    """Render the keys of the configuration file from their declaration."""
    from lbproxy.config.reference import referenceText

    target = _HERE / "reference-keys.rst"
    text = referenceText()
    # An unchanged file keeps its time, so that Sphinx need not read it again.
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Have the reference written before Sphinx looks for its sources."""
    app.connect("builder-inited", writeReferenceKeys)
