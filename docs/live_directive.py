"""The directive of the live pictures: a figure that a small program in `_static/live` draws in the browser.

    ```{live} ellipse
    The caption: what to do, and what one sees.
    ```

The data of a picture (`live/NAME.json`, written by `live_data.py`) stand in the page itself, since a page that is
opened from a disk cannot load them. The figure is hidden until its program runs: without JavaScript the page shows its
still pictures alone.
"""

from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = {
    "ellipse": ("shared", "plot", "ellipse_energy", "ellipse"),
    "surface": ("shared", "plot", "solid", "ellipse_energy", "surface"),
    "horns": ("shared", "plot", "solid", "horns"),
    "lattice": ("shared", "plot", "lattice_sweep", "lattice"),
    "recall": ("shared", "plot", "recall_network", "recall"),
    "strokes": ("shared", "plot", "strokes"),
    "balls": ("shared", "plot", "balls"),
}
"""The programs of every picture, in the order in which they are loaded; each is in `_static/live`."""


def opening(name: str) -> str:
    """The HTML in front of the caption of a picture."""
    data = (HERE / f"live/{name}.json").read_text(encoding="utf-8").replace("</", "<\\/")
    figure = f'<figure class="live" data-live="{name}" hidden>'
    return f'{figure}\n<script type="application/json">{data}</script>\n<figcaption>'


def closing(name: str, static: str, loaded: set[str]) -> str:
    """The HTML after the caption, with those of the programs that are not among the `loaded` ones, and adds them."""
    wanted = [program for program in PROGRAMS[name] if program not in loaded]
    loaded.update(wanted)
    return "</figcaption>\n</figure>\n" + "\n".join(
        f'<script defer src="{static}/live/{program}.js"></script>' for program in wanted
    )


def setup(app):
    """Add the directive to Sphinx."""
    from docutils import nodes
    from sphinx.util.docutils import SphinxDirective

    class Live(SphinxDirective):
        """A live picture; its argument is the name, its content the caption."""

        required_arguments = 1
        has_content = True

        def run(self):
            """The figure around the parsed caption."""
            name = self.arguments[0]
            if name not in PROGRAMS:
                raise self.error(f"live: got {name!r}, wanted one of {', '.join(PROGRAMS)}")
            self.env.note_dependency(str(HERE / f"live/{name}.json"))
            static = "../" * self.env.docname.count("/") + "_static"
            loaded = self.env.temp_data.setdefault("live_programs", set())
            return [
                nodes.raw("", opening(name), format="html"),
                *self.parse_content_to_nodes(),
                nodes.raw("", closing(name, static, loaded), format="html"),
            ]

    app.add_directive("live", Live)
    return {"parallel_read_safe": True}
