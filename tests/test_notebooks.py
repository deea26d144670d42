"""The notebooks run from top to bottom, and are stored without outputs and without anything of a machine.

Their cells are run as plain Python, without Jupyter, which is several packages lighter and tests the same code: the one
line that is not Python installs the library where it is missing.
"""

import json
import re
from pathlib import Path

import jax
import pytest

FOLDER = Path(__file__).parents[1] / "docs/notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
COMPUTING = {"horn_at_256_temperatures", "sampler_league"}
"""Those that run for longer than they compile, which CI runs with the optimizing compiler."""


def marked(path):
    return pytest.param(path, id=path.stem, marks=[pytest.mark.optimized] * (path.stem in COMPUTING))


def cells(path, kind):
    book = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == kind]


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.filterwarnings("default")  # other packages announce their next versions
@pytest.mark.parametrize("path", [marked(path) for path in NOTEBOOKS])
def test_a_notebook_runs_and_draws(path, monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn = []
    monkeypatch.setattr(plt, "show", lambda: drawn.append([plt.figure(number) for number in plt.get_fignums()]))
    names = {"__name__": "__main__"}
    with jax.numpy_rank_promotion("allow"):
        for code in cells(path, "code"):
            exec(compile(re.sub(r"%pip .*", "raise ImportError", code), path.name, "exec"), names)
            plt.close("all")
    assert sum(map(len, drawn)) == sum("plt.show()" in code for code in cells(path, "code")) >= 1


def test_there_are_six_and_each_has_a_page():
    listed = re.findall(r"^(\w+)$", (FOLDER / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == [path.stem for path in NOTEBOOKS]
    assert len(NOTEBOOKS) >= 6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_installs_what_it_needs(path):
    text = path.read_text(encoding="utf-8")
    book = json.loads(text)
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
        assert cell["metadata"] == {}
    assert not re.search(r"(?<![\w.])/(home|Users|tmp|root|work|content)/|[A-Z]:\\\\", text)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    codes, texts = cells(path, "code"), cells(path, "markdown")
    assert texts[0].startswith("# ")
    assert 'find_spec("ebmjax") is None' in codes[0]
    assert "%pip install --quiet ebmjax matplotlib" in codes[0]
    assert not any("%" in line.lstrip()[:1] for code in codes[1:] for line in code.splitlines())
    assert re.search(r"^import ebmjax as ebm$", codes[1], re.MULTILINE)
    assert not re.search(r"\b(experiments|tests|benchmarks)\.", "\n".join(codes)), "the public library alone"
