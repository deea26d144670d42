"""How Sphinx builds the documentation: `sphinx-build -W -b html docs build/html`, without network.

The pages are Markdown. Their Python blocks are run by `tests/test_pages.py`, which also compares what they print with
the block below each of them, so that nothing is run here. MyST-NB reads the pages, and the notebooks, which are stored
without outputs and are run by `tests/test_notebooks.py`.
"""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # Sphinx does not find the files beside this one by itself, hence the late imports

import cards  # noqa: E402
import recorded  # noqa: E402
import reference_pages  # noqa: E402

project, author = "ebmjax", "The ebmjax authors"
copyright = "The ebmjax authors, Apache-2.0"
version = release = importlib.metadata.version("ebmjax")

extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx.ext.linkcode", "sphinx_design", "live_directive"]
exclude_patterns = ["pictures/*.md"]
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
highlight_language = "none"
pygments_style = "friendly"

html_theme = "sphinx_book_theme"
html_title = "ebmjax"
html_theme_options = {
    "show_toc_level": 1,
    "collapse_navbar": True,
    "max_navbar_depth": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # one field to search in, that of the sidebar
}
html_context = {"default_mode": "auto"}  # dark or light as the reader's system is
html_copy_source = html_show_sourcelink = False

# MathJax from a package beside Sphinx, so that pages read without network: one file, which holds its fonts.
_mathjax = importlib.util.find_spec("sphinx-mathjax-offline")
html_static_path = ["_static", str(Path(_mathjax.origin).parent / "static/mathjax/tex-svg.js")]
html_css_files = ["pages.css", "live/live.css"]
mathjax_path = "tex-svg.js"


def setup(app):
    """Write the pages of the reference before Sphinx looks for pages, and link the names in all others to them."""
    app.connect("builder-inited", write_pages)
    app.connect("doctree-read", link_names)
    app.connect("build-finished", write_sources)


def write_pages(app):
    """The pages that are made from the source and from the records."""
    reference_pages.write(HERE / "reference")
    (HERE / "reference/records.txt").write_text(recorded.tables() + "\n" + recorded.comparisons(), encoding="utf-8")
    (HERE / "reference/growth.txt").write_text(recorded.growth(), encoding="utf-8")
    (HERE / "reference/gallery.txt").write_text(cards.gallery(), encoding="utf-8")


def linkcode_resolve(domain, info):
    """Where the source of a name of the reference is shown: all pages of the reference are in one folder."""
    line = reference_pages.line_of(info["module"], info["fullname"])
    return f"../source/{info['module']}.html#line-{line}" if line else None


def write_sources(app, exception):
    """The source of every module as a plain page: ten times as fast to write as pages with the whole theme."""
    if exception is None and app.builder.format == "html":
        reference_pages.write_sources(Path(app.outdir) / "source")


def link_names(app, doctree):
    """Make inline code that names something public, such as `ebm.sample.gibbs`, a link into the reference."""
    from docutils import nodes
    from sphinx.addnodes import pending_xref

    for literal in list(doctree.findall(nodes.literal)):
        target = reference_pages.target_of(literal.astext())
        if target is not None and not isinstance(literal.parent, nodes.reference | pending_xref):
            link = pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refdoc=app.env.docname, refexplicit=True
            )
            literal.replace_self(link)
            link += literal
