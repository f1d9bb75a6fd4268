"""Sphinx: ``python -m sphinx -W -j 2 docs build/docs`` makes the site; a warning is an error.

The build reads no network. The reference, the gallery and the page of citations are written by it.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE / "_extensions"))

import jaxinv  # noqa: E402

project = "jaxinv"
author = "the jaxinv contributors"
version = release = jaxinv.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
    "reference",
    "citing",
    "statements",
]
exclude_patterns = ["_extensions", "_templates", "gallery/*.ipynb", "gallery/*.py", "gallery/*.md5"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"  # shapes and ranges are in the text; signatures keep the names
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]  # the gallery's settings hold functions

html_theme = "pydata_sphinx_theme"
html_title = f"jaxinv {release}"
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}

sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"__init__\.py",
    "abort_on_example_error": True,  # what an example says is checked by its own assertions
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 0,
    "plot_gallery": "True",
    "parallel": 2,
}
