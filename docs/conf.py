"""Settings of the documentation: sphinx-build -W docs build/docs."""

import warnings
from importlib.metadata import version as installed

project = "lcpfn"
author = "the lcpfn authors"
project_copyright = "the lcpfn authors"
version = release = installed("lcpfn-beliefs")

extensions = [
    "myst_parser",  # pages are Markdown
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # docstrings are in Google style
    "sphinx.ext.mathjax",
]
root_doc = "index"
html_theme = "furo"
html_title = f"lcpfn {version}"
myst_heading_anchors = 3  # links to headings are checked
myst_enable_extensions = ["colon_fence"]

# Frameworks that the environment of the documentation need not have.
autodoc_mock_imports = ["keras", "lightning", "ray", "syne_tune", "transformers"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
warnings.filterwarnings("ignore", category=DeprecationWarning)  # of the tools, not of ours
