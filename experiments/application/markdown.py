"""The Markdown of docstrings, texts, captions and titles, as HTML.

Paragraphs, lists, `code`, **bold**, *emphasis*, links and indented formulas are understood. The rest of CommonMark is
off, so that a formula that begins with # or > stays as it is; HTML in the text is escaped.
"""

from markdown_it import MarkdownIt
from markupsafe import Markup

_MARKDOWN = MarkdownIt("zero").enable(["backticks", "code", "emphasis", "escape", "link", "list"])


def paragraphs(text: str) -> Markup:
    r"""The HTML of paragraphs, lists and formulas, which blank lines separate; a formula is indented by four spaces.

    >>> paragraphs("One\nline.\n\n    F = 0")
    Markup('<p>One\nline.</p>\n<pre><code>F = 0\n</code></pre>\n')
    """
    return Markup(_MARKDOWN.render(text))


def inline(text: str) -> Markup:
    """The HTML of one line.

    >>> inline("`a < b` is **so**")
    Markup('<code>a &lt; b</code> is <strong>so</strong>')
    """
    return Markup(_MARKDOWN.renderInline(text))


def bare(text: str) -> str:
    """One line without its markup, for where HTML allows none.

    >>> bare("`a < b` is **so**")
    'a < b is so'
    """
    (line,) = _MARKDOWN.parseInline(text)
    return "".join(part.content for part in line.children or ())
