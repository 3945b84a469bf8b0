"""The documentation site, of Markdown (MyST) and docstrings in NumPy's format.

sphinx-build -W -n --keep-going docs build/docs
"""

import sys
from pathlib import Path

import normfast

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "normfast"
author = "the normfast developers"
copyright = author  # noqa: A001 - Sphinx's name
version = release = normfast.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "helptext"]
html_theme = "furo"
html_title = f"normfast {version}"

myst_heading_anchors = 3

# Docstrings say the types, in words; annotations would say them once more.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
