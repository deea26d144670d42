"""What experiments with dictionaries share: learning one, coding with it, mosaics of atoms."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from matplotlib.axes import Axes

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import Regularizer
from ebmjax.learn.dictionaries.dictionary import online
from ebmjax.learn.train import train
from ebmjax.minimize.codes.coordinate import solve_batch
from ebmjax.types import Learner
from experiments.application.report import Report
from experiments.drawing.mosaics import mosaic

LEARNING = 0.05  # tolerance of codes to learn from: their energies are far nearer to the least than that
EXACT = 5e-3  # tolerance of codes that are looked at


class Learned(NamedTuple):
    """A dictionary, and how every update of it went: means over its batch."""

    params: sparse_coding.Params
    energy: Float[np.ndarray, " updates"]
    density: Float[np.ndarray, " updates"]
    replaced: float
    """Atoms that were dead and got a sample, in all updates together."""
    finite: bool
    """Whether all updates were carried out."""


class Codes(NamedTuple):
    """Codes of some samples, and what they came to."""

    codes: Float[Array, "samples atoms"]
    energy: float
    """Mean E = ½‖y - Wz‖² + R(z)."""
    misfit: float
    """Mean ½‖y - Wz‖²."""
    nonzero: float
    """Mean number of coefficients that are not zero."""
    explained: float
    """1 - Σ‖y - Wz‖² / Σ‖y‖²."""


def learn(
    report: Report,
    key: Key[Array, ""],
    data: Float[Array, "samples observed"],
    atoms: int,
    regularizer: Regularizer,
    batch_size: int,
    epochs: int,
    constrain: Callable[[Learner], Learner] = lambda learner: learner,
    start: sparse_coding.Params | None = None,
) -> Learned:
    """Learn a dictionary online, with exact codes by coordinate descent.

    Args:
        constrain: what else holds for the atoms, such as `without_negatives`.
        start: the first atoms; None is samples.

    Raises:
        ValueError: fewer samples than atoms, or than one batch holds.
    """
    if len(data) < max(atoms, batch_size):
        raise ValueError(
            f"there are {len(data)} samples, expected at least {max(atoms, batch_size)}: as many as atoms and a batch"
        )
    start_key, train_key = jax.random.split(key)
    params = sparse_coding.from_data(start_key, data, atoms) if start is None else sparse_coding.normalized(start)
    learner = constrain(online(partial(solve_batch, tolerance=LEARNING), regularizer))
    trained = report.compiled(
        lambda key, params, data: train(key, learner, params, data, batch_size, epochs), train_key, params, data
    )
    metrics = trained.metrics.learner
    return Learned(
        trained.params,
        np.asarray(metrics.energy).ravel(),
        np.asarray(metrics.density).ravel(),
        float(np.sum(metrics.replaced)),
        bool(np.all(trained.metrics.finite)),
    )


def without_negatives(learner: Learner, sweeps: int = 2) -> Learner:
    """`dictionary.online` for atoms without negative entries: its statistics, and sweeps over the atoms of its own.

        u_j = d_j + (B_j - W A_j)/A_jj,    d_j ← [u_j]⁺/‖[u_j]⁺‖

    Hoyer (2002) has this constraint beside that of the codes; the sweep is that of Mairal et al. (2009), who allow any
    convex set of atoms.
    """

    def update(key, state, batch):
        new, metrics = learner.update(key, state, batch)
        codes, samples = new.statistics
        # an atom that no code has used is one that has just been replaced
        used = jnp.diagonal(codes) > 0
        atoms = jnp.where(used[:, None], state.params.dictionary.T, jnp.maximum(new.params.dictionary.T, 0))

        def move(index, atoms):
            index = index % len(atoms)
            weight = codes[index, index]
            pull = (samples[index] - codes[index] @ atoms) / jnp.where(weight > 0, weight, 1)
            raised = jnp.maximum(atoms[index] + pull, 0)
            length = jnp.linalg.norm(raised)
            moved = jnp.where((weight > 0) & (length > 0), raised / jnp.where(length > 0, length, 1), atoms[index])
            return atoms.at[index].set(moved)

        atoms = jax.lax.fori_loop(0, sweeps * len(atoms), move, atoms)
        return new._replace(params=sparse_coding.normalized(sparse_coding.Params(atoms.T))), metrics

    return Learner(learner.init, update)


def code(params: sparse_coding.Params, regularizer: Regularizer, data: Float[Array, "samples observed"]) -> Codes:
    """Exact codes of many samples, and their means."""
    codes = jax.jit(lambda params, data: solve_batch(params, regularizer, data, tolerance=EXACT).value)(params, data)
    return measured(params, regularizer, data, codes)


@jax.jit
def _sums(dictionary: Array, data: Array, codes: Array) -> tuple[Array, Array, Array]:
    left = jnp.sum(jnp.square(data - codes @ dictionary.T))
    return left, jnp.sum(jnp.square(data)), jnp.sum(codes != 0)


def measured(
    params: sparse_coding.Params,
    regularizer: Regularizer,
    data: Float[Array, "samples observed"],
    codes: Float[Array, "samples atoms"],
) -> Codes:
    """What given codes of some samples come to."""
    left, power, nonzero = (float(total) for total in _sums(params.dictionary, data, codes))
    count = len(data)
    misfit = left / count / 2
    penalty = float(jnp.mean(jax.vmap(regularizer.value)(codes)))
    return Codes(codes, misfit + penalty, misfit, nonzero / count, 1 - left / power)


def median_largest_weight(params: sparse_coding.Params, data: Float[Array, "samples observed"]) -> float:
    """The median over samples of λ_max = ‖Wᵀy‖_∞, from which on a sample's best code is zero."""
    return float(jnp.median(jnp.max(jnp.abs(data @ params.dictionary), axis=1)))


def pictures(params: sparse_coding.Params, *shape: int) -> Float[np.ndarray, "atoms ..."]:
    """The atoms as pictures."""
    return np.asarray(params.dictionary.T).reshape(-1, *shape)


def show_atoms(
    axes: Axes, atoms: Float[np.ndarray, "atoms rows columns"], across: int, title: str = "", own_scale: bool = True
) -> None:
    """Draw atoms side by side in grey: middle grey is zero, the largest absolute value is black or white.

    Args:
        axes: where.
        atoms: pictures; the last row is filled up with nothing.
        across: how many stand in a row.
        title: of the panel.
        own_scale: whether each atom has its own scale; otherwise all have one.
    """
    largest = np.abs(atoms).max(axis=(1, 2), keepdims=True) if own_scale else np.abs(atoms).max()
    scaled = atoms / np.maximum(largest, 1e-12)
    missing = -len(atoms) % across
    padded = np.concatenate([scaled, np.full((missing, *atoms.shape[1:]), np.nan, scaled.dtype)])
    axes.imshow(
        mosaic(padded.reshape(-1, across, *atoms.shape[1:])), cmap="gray", vmin=-1, vmax=1, interpolation="nearest"
    )
    plain(axes)
    axes.set_title(title)


def plain(axes: Axes) -> None:
    """Take ticks, lines and frame off the axes of a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def smoothed(values: Float[np.ndarray, " n"], width: int) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Means over consecutive windows, and the middle of each, counted from one.

    >>> [part.tolist() for part in smoothed(np.array([1.0, 3.0, 5.0, 7.0]), 2)]
    [[1.5, 3.5], [2.0, 6.0]]
    """
    width = max(1, min(width, len(values)))
    windows = len(values) // width
    means = values[: windows * width].reshape(windows, width).mean(axis=1)
    return np.arange(windows) * width + (width + 1) / 2, means
