"""The data of the live pictures, by the library: `python docs/live_data.py [NAME ...]` writes `live/NAME.json`.

A picture whose energies are a few lines gets only its parameters; the program in the browser computes the rest, and a
test compares it with the library (`tests/test_live_pictures.py`). What is learned is learned here, as in the
experiments of the same name.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ebmjax import gradient, problems, train
from ebmjax.energies import hopfield, horn, ising, sparse_coding
from ebmjax.energies.regularizers import non_negative
from ebmjax.losses.energy import energy_loss
from ebmjax.minimize.codes.coordinate import solve_batch
from ebmjax.problems.ising import onsager_magnetization
from ebmjax.sample.special.checkerboard import checkerboard
from ebmjax.types import Learner
from experiments.application.report import Report
from experiments.codes.learned_dictionaries import learn, without_negatives
from experiments.data.images import Images, load
from experiments.horn.trained_horns import WEIGHT_PENALTY, radii, warm
from experiments.networks import fuzzy_balls

FOLDER = Path(__file__).with_name("live")
ATOMS, WEIGHT = 80, 0.05  # strokes of the dictionary, and the λ with which it is learned

LETTERS = """
#########. ########.. ##......## .........# ....##.... ##......##
#########. #########. ###....### ........## ...####... ###....###
##........ ##.....##. ####..#### ........## ...####... .###..###.
##........ ##.....##. ##.####.## ........## ..##..##.. ..######..
#######... ########.. ##..##..## ........## ..##..##.. ...####...
#######... ########.. ##......## ........## .##....##. ...####...
##........ ##.....##. ##......## ##......## .########. ..######..
##........ ##.....##. ##......## ##......## ########## .###..###.
#########. #########. ##......## .########. ##......## ###....###
#########. ########.. ##......## ..######.. ##......## ##......##
"""


def rounded(values: Any, digits: int = 3) -> Any:
    """Nested lists of numbers with that many significant digits."""
    return json.loads(
        json.dumps(np.asarray(values, np.float64).tolist()), parse_float=lambda x: float(f"{float(x):.{digits}g}")
    )


def ellipse() -> dict[str, Any]:
    """The radii of the page, and where y' and the slider stand at first."""
    return {"radii": [2.0, 1.5], "angles": 192, "y": [0.0, 0.4], "place": 46}


def surface() -> dict[str, Any]:
    """The same radii, and where the slider stands at first."""
    return {"radii": [2.0, 1.5], "angles": 192, "place": 70}


def lattice() -> dict[str, Any]:
    """A lattice after 400 sweeps at a temperature near the transition, and Onsager's magnetization."""
    side, beta = 64, 0.43
    kernel = checkerboard(ising.Params(jnp.array(1.0), jnp.array(0.0)), beta, (side, side))
    start_key, key = jax.random.split(jax.random.key(0))
    state = kernel.init(ising.split(jax.random.rademacher(start_key, (side, side), jnp.float32)))
    state = jax.lax.fori_loop(0, 400, lambda i, state: kernel.step(jax.random.fold_in(key, i), state)[0], state)
    betas = ising.CRITICAL_BETA + np.concatenate(
        [[-0.24], 0.26 * np.linspace(0.0, 1, 60) ** 4]
    )  # steep at the transition
    exact = [[beta, onsager_magnetization(float(beta))] for beta in betas]
    up = (np.asarray(ising.join(state.position)) > 0).ravel()
    return {"side": side, "beta": beta, "up": "".join("01"[int(spin)] for spin in up), "exact": rounded(exact, 7)}


def letters() -> np.ndarray:
    """Six letters of 10 × 10 spins."""
    rows = [line.split() for line in LETTERS.split("\n") if line]
    return np.array([[[1.0 if mark == "#" else -1.0 for mark in row[k][:10]] for row in rows] for k in range(6)])


def recall() -> dict[str, Any]:
    """The upper triangles of the weights that store six letters, by Hebb's rule and by the projection."""
    patterns = letters().reshape(6, -1)
    upper = np.triu_indices(patterns.shape[1], 1)
    rules = {"projection": hopfield.pseudo_inverse, "Hebb’s rule": hopfield.hebbian}
    weights = {name: np.asarray(rule(jnp.asarray(patterns, jnp.float32)).weights) for name, rule in rules.items()}
    return {
        "side": 10,
        "letters": ["".join("01"[int(spin > 0)] for spin in pattern) for pattern in patterns],
        "weights": {name: rounded(each[upper], 4) for name, each in weights.items()},
    }


def strokes() -> dict[str, Any]:
    """A dictionary of strokes of digits, and the codes of one held-out digit of each class at 14 weights λ."""
    split = load(Images.MNIST)
    halved = lambda pictures: pictures.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
    data = jnp.asarray(halved(split.train[:10_000]))
    scale = jnp.sqrt(jnp.mean(jnp.square(data), axis=0))[:, None]
    start = sparse_coding.Params(scale * jax.random.uniform(jax.random.key(1), (196, ATOMS)))
    with tempfile.TemporaryDirectory() as folder:
        report = Report(Path(folder) / "run", "strokes", None, 0, False)
        key, regularizer = jax.random.key(0), non_negative(WEIGHT)
        learned = learn(report, key, data, ATOMS, regularizer, 100, 10, {}, without_negatives, start).params
    # whole numbers in the file, and the codes are those of the atoms in the file
    atoms = np.rint(np.asarray(learned.dictionary.T) * 400).astype(int)
    labels = np.asarray(split.test_labels)
    digits = halved(np.stack([split.test[np.flatnonzero(labels == label)[1]] for label in range(10)]))
    levels = np.rint(digits * 100).astype(int)
    weights = np.array([float(f"{weight:.2g}") for weight in np.geomspace(0.01, 2.0, 14)])
    params = stroke_params(atoms)
    pictures = (levels / 100).astype(np.float32)
    solve = lambda weight: solve_batch(params, non_negative(float(weight)), pictures, tolerance=1e-4).value
    codes = np.stack([np.asarray(solve(weight)) for weight in weights])
    order = np.argsort(-codes, axis=-1, kind="stable")
    listed = lambda z, places: [[int(i), float(f"{z[i]:.5g}")] for i in places if z[i] > 0]
    return {
        "atoms": atoms.tolist(),
        "digits": levels.tolist(),
        "weights": weights.tolist(),
        "codes": [
            [listed(z, places) for z, places in zip(*rows, strict=True)] for rows in zip(codes, order, strict=True)
        ],
    }


def stroke_params(atoms: Any) -> sparse_coding.Params:
    """The dictionary of the whole numbers in the file: each atom has unit norm."""
    columns = np.asarray(atoms, np.float32).T
    return sparse_coding.Params(jnp.asarray(columns / np.linalg.norm(columns, axis=0)))


def horns() -> dict[str, Any]:
    """The radii of two horns, learned hot and cold from the same start, at some updates of their training."""
    betas, epochs, batch_size = (0.1, np.inf), 500, 32
    data = problems.horn_data(jax.random.key(0), 400)
    updates = epochs * (400 // batch_size)
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, updates))
    x = jnp.linspace(0, 1, 21)

    def recorded(learner: Learner) -> Learner:
        """The learner, with the radii after each update as its metrics."""

        def update(key, state, batch):
            state, _ = learner.update(key, state, batch)
            return state, radii(state.params, x)

        return Learner(learner.init, update)

    def learned(beta):
        mean_free_energy = energy_loss(lambda params, sample: warm(params, sample, beta))
        loss = lambda params, batch: (
            mean_free_energy(params, batch) + WEIGHT_PENALTY * optax.tree.norm(params, squared=True)
        )
        start = horn.init(jax.random.key(1))
        trained = train(jax.random.key(2), recorded(gradient(loss, optimizer)), start, tuple(data), batch_size, epochs)
        return radii(start, x), trained.metrics.learner.reshape(-1, len(x), 2)

    first, after = jax.jit(jax.vmap(learned))(jnp.array(betas))
    chosen = sorted({0, *np.rint(np.geomspace(1, updates, 44)).astype(int).tolist()})
    every = np.concatenate([np.asarray(first)[:, None], np.asarray(after)], axis=1)[:, chosen]
    shown = slice(0, 160)
    return {
        "names": ["hot, β = 0.1", "cold, β = ∞"],
        "updates": chosen,
        "x": rounded(x, 4),
        "radii": rounded(every, 4),
        "samples": rounded(np.concatenate([data.x[shown, None], data.y[shown]], axis=1), 4),
        "truth": rounded(problems.horn_radii(x), 4),
    }


def balls() -> dict[str, Any]:
    """The balls of 60 digits while four autoencoders learn: without terms, with each, and with both."""
    config = fuzzy_balls.Config(
        pulls=(0.0, 1.0, 0.0, 1.0, 30.0),
        sizes=(0.0, 0.0, 1.0, 1.0, 30.0),
        pictures=1000,
        shown=60,
        hidden=(64,),
        epochs=300,
    )
    split = load(config.images)
    data, shown = (
        jnp.asarray(part.reshape(len(part), -1)) for part in (split.train[: config.pictures], split.test[:60])
    )
    with tempfile.TemporaryDirectory() as folder:
        report = Report(Path(folder) / "run", "fuzzy_balls", config, 0, False)
        found, _ = fuzzy_balls.watch(config, report, data, shown)
    epochs = sorted({0, *np.rint(np.geomspace(1, config.epochs, 16)).astype(int).tolist()})
    at = lambda values: np.asarray(values)[:, epochs]
    return {
        "names": ["no terms", "spring only", "size control only", "both (evidence bound)", "both, 30 times as strong"],
        "pulls": list(config.pulls),
        "sizes": list(config.sizes),
        "epochs": epochs,
        "labels": np.asarray(split.test_labels)[:60].tolist(),
        "balls": rounded(np.concatenate([at(found.mean), at(found.deviation)], axis=-1)),
        "overlap": rounded(at(found.overlap)),
        "cost": rounded(at(found.cost), 4),
    }


PICTURES: dict[str, Callable[[], dict[str, Any]]] = {
    "ellipse": ellipse,
    "surface": surface,
    "lattice": lattice,
    "recall": recall,
    "strokes": strokes,
    "horns": horns,
    "balls": balls,
}


def text(name: str) -> str:
    """The content of a file."""
    return json.dumps(PICTURES[name](), separators=(",", ":")) + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")
        print(name, (FOLDER / f"{name}.json").stat().st_size, flush=True)
