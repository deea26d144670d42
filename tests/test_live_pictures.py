"""The live pictures of the documentation: data and mathematics are the library's, and a reader can use them.

Tests of the programs in the browser drive the Chromium of the machine by Playwright; without one they are skipped.
"""

import json
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebmjax as ebm
from ebmjax.energies import ellipse, hopfield, ising, sparse_coding
from ebmjax.energies.regularizers import non_negative
from ebmjax.gaussian import Gaussian
from ebmjax.minimize.evolution import energy_trace
from experiments.networks.fuzzy_balls import pairs

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))
import live_data  # noqa: E402
import live_directive  # noqa: E402

sys.path.remove(str(DOCS))

STATIC = DOCS / "_static"
NAMES = sorted(live_directive.PROGRAMS)
BLOCK = re.compile(r"^```\{live\} (\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
CAPTIONS = {name: caption for text in PAGES.values() for name, caption in BLOCK.findall(text)}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def data_of(name):
    return json.loads((DOCS / f"live/{name}.json").read_text(encoding="utf-8"))


def test_every_picture_is_on_one_page_with_a_still_picture():
    found = [name for text in PAGES.values() for name, _ in BLOCK.findall(text)]
    assert sorted(found) == NAMES == sorted(live_data.PICTURES)
    for path, text in PAGES.items():
        assert not BLOCK.search(text) or "![" in text, f"{path}: no picture for those without JavaScript"


def test_files_are_small():
    for path in [*(STATIC / "live").iterdir(), DOCS / "live_data.py", DOCS / "live_directive.py"]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path
    for path in (DOCS / "live").iterdir():
        assert path.stem in NAMES
        assert path.stat().st_size <= 150_000, path


def test_data_stay_data_inside_of_a_page(monkeypatch, tmp_path):
    """A text with the end of a script would end the data early."""
    (tmp_path / "live").mkdir()
    (tmp_path / "live/odd.json").write_text('["</script><b>"]')
    monkeypatch.setattr(live_directive, "HERE", tmp_path)
    opening = live_directive.opening("odd")
    inside = re.search(r'<script type="application/json">(.*?)</script>', opening, re.DOTALL)[1]
    assert json.loads(inside) == ["</script><b>"]


@pytest.mark.parametrize("name", ["ellipse", "surface"])
def test_files_of_numbers_are_those_of_the_program(name):
    assert data_of(name) == live_data.PICTURES[name]()


def test_the_network_stores_the_letters_by_both_rules():
    data = data_of("recall")
    patterns = np.array([[1.0 if mark == "1" else -1.0 for mark in letter] for letter in data["letters"]])
    np.testing.assert_array_equal(patterns, live_data.letters().reshape(6, -1))
    upper = np.triu_indices(100, 1)
    for rule, weights in zip((hopfield.pseudo_inverse, hopfield.hebbian), data["weights"].values(), strict=True):
        exact = np.asarray(rule(jnp.asarray(patterns, jnp.float32)).weights)[upper]
        np.testing.assert_allclose(weights, exact, rtol=1e-3, atol=1e-6)


def test_the_curve_beside_the_lattice_is_the_exact_one():
    data = data_of("lattice")
    assert len(data["up"]) == data["side"] ** 2
    for beta, magnetization in data["exact"]:
        if abs(beta - ising.CRITICAL_BETA) > 1e-3:  # so steep there that the digits of beta in the file matter
            assert magnetization == pytest.approx(ebm.problems.ising.onsager_magnetization(beta), rel=1e-5)


def test_strokes_are_exact_codes_of_their_dictionary():
    """The conditions of a minimum for z ≥ 0: the slope of E is nowhere below zero, and zero where z > 0.

    The second up to a thousandth of the energy, since a coefficient may be nearly zero.
    """
    data = data_of("strokes")
    dictionary = np.asarray(live_data.stroke_params(data["atoms"]).dictionary, np.float64)
    assert dictionary.min() >= 0
    digits = np.array(data["digits"]) / 100
    for weight, row in zip(data["weights"], data["codes"], strict=True):
        for y, code in zip(digits, row, strict=True):
            z = np.zeros(dictionary.shape[1])
            z[[atom for atom, _ in code]] = [coefficient for _, coefficient in code]
            slope = dictionary.T @ (dictionary @ z - y) + weight
            energy = np.sum((y - dictionary @ z) ** 2) / 2 + weight * z.sum()
            assert slope.min() > -0.01 * weight
            assert z @ np.abs(slope) < 1e-3 * energy
    assert all(len(few) < len(many) for few, many in zip(data["codes"][-1], data["codes"][0], strict=True))


def test_the_horn_is_found_cold_and_loses_its_narrow_end_hot():
    data = data_of("horns")
    hot, cold = np.array(data["radii"])[:, -1]
    x, y = np.split(np.array(data["samples"], np.float32), [1], axis=1)
    every = np.asarray(ebm.problems.horn_radii(jnp.array(np.append(data["x"], x).astype(np.float32))))
    truth, scale = np.split(every, [len(data["x"])])
    np.testing.assert_allclose(data["truth"], truth, rtol=1e-3)
    assert np.sqrt(np.mean((cold - truth) ** 2)) < 0.1
    assert hot[0].max() < 0.1 < 1.0 < truth[0].min()  # below 1/√beta, the hot manifold is a line
    radius = np.sqrt(np.sum((y / scale) ** 2, axis=1))
    assert np.abs(radius - 1).max() < 0.15  # noise of 1/20 on radii of 1.5 and more


def test_the_overlap_is_that_of_the_balls():
    data = data_of("balls")
    shape = (len(data["names"]), len(data["epochs"]))
    assert np.shape(data["overlap"]) == np.shape(data["cost"]) == shape == np.shape(data["balls"])[:2]
    mean, deviation = np.split(np.array(data["balls"][3][-1], np.float32), 2, axis=1)
    _, overlaps = pairs(Gaussian(jnp.asarray(mean), jnp.asarray(2 * np.log(deviation))))
    assert np.mean(overlaps) == pytest.approx(data["overlap"][3][-1], rel=0.02)


# In the browser.


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def written(folder, name, theme):
    """A page with one picture, by the functions of the directive."""
    static = STATIC.as_uri()
    page = folder / f"{name}_{theme}.html"
    figure = f"{live_directive.opening(name)}{CAPTIONS[name]}{live_directive.closing(name, static, set())}"
    page.write_text(
        f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="{static}/live/live.css">'
        f"</head><body><main><h1>{name}</h1>{figure}</main></body></html>",
        encoding="utf-8",
    )
    return page.as_uri()


def opened(browser, folder, name, theme="light", width=1280, reduced="reduce"):
    """The page in the browser, and a list of what goes wrong on it."""
    page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion=reduced)
    wrong = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: request.url.startswith("file:") or wrong.append(request.url))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.goto(written(folder, name, theme))
    page.wait_for_function("document.querySelector('canvas')?.width > 300 || innerWidth < 500")
    settled(page)
    return page, wrong


def settled(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


PICTURE = "() => [...document.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL()).join()"


COLOURS = """() => {
    const canvas = document.querySelector("canvas");
    return new Set(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size;
}"""


def changes(page, act):
    """Whether the canvases change."""
    before = page.evaluate(PICTURE)
    act()
    settled(page)
    return page.evaluate(PICTURE) != before


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_picture_works_on_every_screen_in_both_themes(browser, tmp_path, name):
    # `preload` would ask for the style sheet, which a page on a disk may not read
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for theme, width in (("light", 1280), ("dark", 390)):
        page, wrong = opened(browser, tmp_path, name, theme, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        colours = page.evaluate(COLOURS)
        assert colours > 3, "an empty canvas"
        for row in page.locator("input[type=range]").all():
            row.focus()
            assert changes(page, lambda: page.keyboard.press("Home")) | changes(
                page, lambda: page.keyboard.press("End")
            )
            assert row.get_attribute("aria-valuetext")
        # the theme can change while the page is open
        assert changes(page, lambda: page.evaluate("() => { document.documentElement.dataset.theme = 'dark'; }")) == (
            theme == "light"
        )
        page.evaluate(f"() => {{ document.documentElement.dataset.theme = '{theme}'; }}")
        found = axe.run(page, "figure.live", {"preload": False}).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert not serious
        assert not wrong
        page.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lattice", "horns", "surface"])
def test_motion_starts_by_itself_only_where_it_is_welcome(browser, tmp_path, name):
    wait = "() => new Promise((done) => setTimeout(done, 400))"
    for reduced, moves in (("reduce", False), ("no-preference", True)):
        page, _ = opened(browser, tmp_path, name, reduced=reduced)
        assert changes(page, lambda: page.evaluate(wait)) == moves
        page.close()


@pytest.mark.slow
def test_the_point_is_moved_by_mouse_and_keys(browser, tmp_path):
    page, _ = opened(browser, tmp_path, "ellipse")
    readout = page.locator(".live-readout")
    plane = page.locator("canvas").first
    assert "(0.00, 0.40)" in readout.inner_text()
    plane.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    assert "(0.20, 0.50)" in readout.inner_text()
    box = plane.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.down()
    assert changes(page, lambda: page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 100))
    page.mouse.up()
    assert "(0.20, 0.50)" not in readout.inner_text()


@pytest.mark.slow
def test_a_drawing_is_recalled(browser, tmp_path):
    page, _ = opened(browser, tmp_path, "recall")
    readout = page.locator(".live-readout")
    page.get_by_role("button", name="Show the letter J").click()
    assert "overlap 1.00" in readout.inner_text()
    pad = page.locator("canvas").first
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    assert changes(page, lambda: page.mouse.move(box["x"] + 20, box["y"] + 0.6 * box["width"], steps=20))
    page.mouse.up()
    drawn = readout.inner_text()
    assert "overlap 1.00" not in drawn
    pad.focus()
    page.keyboard.press("ArrowRight")
    assert changes(page, lambda: page.keyboard.press(" "))
    assert readout.inner_text() != drawn
    high = float(re.search(r"E = −([\d.]+)", readout.inner_text())[1])
    page.get_by_role("button", name="Recall").click()
    page.wait_for_function("document.querySelector('.live-readout').textContent.includes('no unit flips')")
    assert "Nearest: J, overlap 1.00" in readout.inner_text()
    assert float(re.search(r"E = −([\d.]+)", readout.inner_text())[1]) > high


@pytest.mark.slow
def test_the_browser_computes_the_free_energy_of_the_library(browser, tmp_path):
    page, _ = opened(browser, tmp_path, "ellipse")
    radii, betas = [2.0, 1.5], [0.0, 1e-3, 0.3, 1.0, 10.0, 1e3, float("inf")]
    points = [[0.0, 0.0], [0.6, 1.2], [-3.0, 2.0]]
    space = ebm.circle(192)
    energy = lambda y: partial(ellipse.energy, ellipse.Params(jnp.array(radii)), y)
    exact = jax.jit(jax.vmap(jax.vmap(lambda y, beta: ebm.free_energy(energy(y), space, beta), (None, 0)), (0, None)))(
        jnp.array(points), jnp.array(betas)
    )
    found = page.evaluate(
        """([radii, points, betas]) => points.map((y) => betas.map((beta) =>
            live.math.freeEnergy(live.math.ellipseEnergies(radii, y, 192), beta)))""",
        [radii, points, betas],
    )
    np.testing.assert_allclose(found, exact, rtol=3e-6)
    weights = page.evaluate("live.math.relativeWeights(live.math.ellipseEnergies([2, 1.5], [0.6, 1.2], 192), 3)")
    posterior = np.asarray(ebm.posterior(energy(jnp.array([0.6, 1.2])), space, 3.0))
    np.testing.assert_allclose(weights, posterior / posterior.max(), rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_the_browser_sweeps_as_the_library_does(browser, tmp_path):
    """Each colour of the checkerboard with P(+1) = σ(2βh), h by the library, and the same uniform numbers."""
    page, _ = opened(browser, tmp_path, "lattice")
    side, beta = 8, 0.37
    rng = np.random.default_rng(0)
    spins = rng.choice([-1.0, 1.0], (side, side)).astype(np.float32)
    uniforms = rng.random(side * side)
    colours = np.add.outer(np.arange(side), np.arange(side)) % 2
    expected, params = spins.copy(), ising.Params(jnp.array(1.0), jnp.array(0.0))
    for colour, drawn in zip((0, 1), np.split(uniforms, 2), strict=True):
        probability = np.asarray(jax.nn.sigmoid(2 * beta * ising.local_field(params, jnp.asarray(expected))))
        expected[colours == colour] = np.where(drawn < probability[colours == colour], 1, -1)
    found = page.evaluate(
        """([spins, side, beta, uniforms]) => {
            let next = 0;
            live.math.sweep(spins, side, beta, () => uniforms[next++]);
            return spins;
        }""",
        [spins.ravel().tolist(), side, beta, uniforms.tolist()],
    )
    assert (expected != spins).any()
    np.testing.assert_array_equal(np.reshape(found, (side, side)), expected)


@pytest.mark.slow
def test_the_browser_evolves_as_the_library_does(browser, tmp_path):
    page, _ = opened(browser, tmp_path, "recall")
    data = data_of("recall")
    rng = np.random.default_rng(1)
    start, order = rng.choice([-1.0, 1.0], 100), rng.permutation(100)
    for upper in data["weights"].values():
        weights = np.zeros((100, 100), np.float32)
        weights[np.triu_indices(100, 1)] = upper
        params = hopfield.Params(jnp.asarray(weights + weights.T), jnp.zeros(100))
        trace = energy_trace(params, jnp.asarray(start, jnp.float32), jnp.asarray(order), 3)
        energies, spins = page.evaluate(
            """([upper, spins, order]) => {
                const weights = live.math.network(upper, 100);
                let energy = live.math.networkEnergy(weights, spins);
                const energies = [];
                for (let sweep = 0; sweep < 3; sweep += 1) {
                    for (const unit of order) energies.push(energy += live.math.visit(weights, spins, unit));
                }
                return [energies, spins];
            }""",
            [upper, start.tolist(), order.tolist()],
        )
        np.testing.assert_array_equal(spins, trace.spins[-1])
        np.testing.assert_allclose(energies, np.ravel(trace.energies), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_browser_adds_up_the_energy_of_the_library(browser, tmp_path):
    page, _ = opened(browser, tmp_path, "strokes")
    data = data_of("strokes")
    place, digit = 5, 8
    code = data["codes"][place][digit]
    z = (
        jnp.zeros(len(data["atoms"]))
        .at[jnp.array([atom for atom, _ in code])]
        .set(jnp.array([size for _, size in code]))
    )
    y = jnp.array(data["digits"][digit]) / 100
    weight = data["weights"][place]
    exact = float(sparse_coding.energy(live_data.stroke_params(data["atoms"]), non_negative(weight), y, z))
    found = page.evaluate(
        """([atoms, code, picture, weight]) =>
            live.math.misfit(picture, live.math.partialSum(live.math.unitAtoms(atoms), code, code.length))
            + weight * code.reduce((sum, pair) => sum + pair[1], 0)""",
        [data["atoms"], code, y.tolist(), weight],
    )
    assert found == pytest.approx(exact, rel=1e-5)
