"""Settings of the documentation: sphinx-build -W docs build/docs."""

import os
import re
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

project = "lcpfn"
author = "the lcpfn authors"
project_copyright = "the lcpfn authors"
version = release = installed("lcpfn-beliefs")

extensions = [
    "myst_parser",  # pages are Markdown
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # docstrings are in Google style
]
root_doc = "index"
html_theme = "furo"
html_title = f"lcpfn {version}"
myst_heading_anchors = 3  # links to headings are checked
suppress_warnings = ["misc.highlighting_failure"]  # a console shows commands, which need not be code

autodoc_mock_imports = ["keras", "lightning", "ray", "syne_tune", "transformers"]  # in environments of their own
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
QUESTIONS = ("data", "mcmc", "opponents", "prior", "real", "speed", "stopping")
# Files outside of docs/ that are pages, because a page includes them.
INCLUDED = {
    **{ROOT / "benchmarks" / name / "README.md": HERE / "questions" / f"{name}.md" for name in QUESTIONS},
    ROOT / "benchmarks" / "README.md": HERE / "benchmarks.md",
    ROOT / "checkpoints" / "README.md": HERE / "checkpoints.md",
    ROOT / "SECURITY.md": HERE / "trust" / "security.md",
    ROOT / "README.md": HERE / "index.md",
}
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<path>(?!https?:|mailto:)[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def relinked(text: str, source: Path, page: Path) -> str:
    """The text with links as a page needs them.

    The files of the repository link to one another by their places in it. On a page a link leads to the page that
    includes the file; to a file that no page includes, it becomes its text.

    Args:
        text: Markdown.
        source: the file that it stands in.
        page: that it is shown on.
    """

    def link(match: re.Match[str]) -> str:
        target = (source.parent / match["path"]).resolve()
        shown = INCLUDED.get(target, target)
        anchor = match["anchor"] or ""
        if target == ROOT / "README.md":
            anchor = ""  # the first page says the same, not under the same headings
        if not match["image"] and not shown.is_relative_to(HERE):
            return match["text"]
        return f"{match['image']}[{match['text']}]({os.path.relpath(shown, page.parent)}{anchor})"

    return LINK.sub(link, text)


def setup(app: Any) -> None:
    """Has links rewritten as pages are read, and as pages include files."""

    def read(app: Any, docname: str, content: list[str]) -> None:
        page = Path(app.env.doc2path(docname))
        content[0] = relinked(content[0], page, page)

    def included(app: Any, path: Path, stem: str, content: list[str]) -> None:
        if path.suffix == ".md":  # of the page's name MyST tells the last part alone
            content[0] = relinked(content[0], (HERE / path).resolve(), Path(app.env.doc2path(app.env.docname)))

    app.connect("source-read", read)
    app.connect("include-read", included)
