"""Shared by the experiments with dictionaries: learning one, coding with it, and pictures of its atoms."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ebmjax.checks import ArgumentError
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import Regularizer
from ebmjax.learn.dictionaries.dictionary import online
from ebmjax.minimize.codes.coordinate import solve_batch
from ebmjax.types import Learner
from experiments.application.report import Report
from experiments.application.shown import train_shown
from experiments.drawing import plots
from experiments.drawing.mosaics import mosaic

LEARNING = 0.05  # tolerance of codes in learning; their energies are much nearer to the least than this bound
EVERY = 10  # updates from one line of metrics.jsonl to the next
EXACT = 5e-3  # tolerance of codes that are measured or shown
BLOCK = 500  # samples that are coded in one call


class Learned(NamedTuple):
    """A learned dictionary, and the record of its updates."""

    params: sparse_coding.Params
    energy: Float[np.ndarray, " updates"]
    """Mean energy of the batch of each update."""
    density: Float[np.ndarray, " updates"]
    """Share of the coefficients that are not zero in the batch of each update."""
    replaced: float
    """Number of unused atoms that were replaced by samples, in all updates together."""
    finite: bool
    """Whether all updates were finite."""


class Codes(NamedTuple):
    """Codes of some samples, and how good they are."""

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
    about: dict[str, Any],
    constrain: Callable[[Learner], Learner] = lambda learner: learner,
    start: sparse_coding.Params | None = None,
) -> Learned:
    """Learn a dictionary online, with exact codes by coordinate descent.

    The energy and the density of every tenth update become lines of metrics.jsonl while it learns.

    Args:
        about: what else these lines say, such as the size of the patches.
        constrain: wraps the learner with a constraint on the atoms, such as `without_negatives`.
        start: the first atoms; random samples where it is None.

    Raises:
        ValueError: fewer samples than atoms, or than the batch size.
    """
    if len(data) < max(atoms, batch_size):
        raise ArgumentError(
            f"data: got {len(data)} samples, wanted at least {max(atoms, batch_size)}, the larger of the number of "
            "atoms and the batch size"
        )
    start_key, train_key = jax.random.split(key)
    params = sparse_coding.from_data(start_key, data, atoms) if start is None else sparse_coding.normalized(start)
    learner = constrain(online(partial(solve_batch, tolerance=LEARNING), regularizer))
    write = lambda step, told: report.metrics(step=step, **about, energy=told.energy, density=told.density)
    trained = train_shown(train_key, report, learner, params, data, batch_size, epochs, EVERY, write)
    metrics = trained.metrics.learner
    return Learned(
        trained.params,
        np.asarray(metrics.energy).ravel(),
        np.asarray(metrics.density).ravel(),
        float(np.sum(metrics.replaced)),
        bool(np.all(trained.metrics.finite)),
    )


def without_negatives(learner: Learner, sweeps: int = 2) -> Learner:
    """`dictionary.online` for atoms without negative entries.

    The learner's statistics A and B are used in sweeps over the atoms that project each atom d_j:

        u_j = d_j + (B_j - W A_j)/A_jj,    d_j ← [u_j]⁺/‖[u_j]⁺‖

    Hoyer (2002) constrains codes and atoms in this way. The sweep is that of Mairal et al. (2009), who allow any convex
    set of atoms.
    """

    def update(key, state, batch):
        new, metrics = learner.update(key, state, batch)
        codes, samples = new.statistics
        # an atom that no code has used has just been replaced by a sample
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
    """Exact codes of many samples, and how good they are."""
    return measured(params, regularizer, data, jnp.asarray(exact_codes(params, regularizer, data)))


def exact_codes(
    params: sparse_coding.Params, regularizer: Regularizer, data: Float[Array, "samples observed"]
) -> Float[np.ndarray, "samples atoms"]:
    """Exact codes of many samples, in blocks of one size: any number of samples takes the same compiled program."""
    samples = np.asarray(data)
    padded = np.pad(samples, ((0, -len(samples) % BLOCK), (0, 0)))  # the code of zeros costs nothing
    blocks = padded.reshape(-1, BLOCK, samples.shape[1])
    codes = [np.asarray(solve_batch(params, regularizer, block, tolerance=EXACT).value) for block in blocks]
    return np.concatenate(codes)[: len(samples)]


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
    """Codes of some samples together with their mean energy, misfit, number of coefficients and explained variance."""
    left, power, nonzero = (float(total) for total in _sums(params.dictionary, data, codes))
    count = len(data)
    misfit = left / count / 2
    penalty = float(jnp.mean(jax.vmap(regularizer.value)(codes)))
    return Codes(codes, misfit + penalty, misfit, nonzero / count, 1 - left / power)


def median_largest_weight(params: sparse_coding.Params, data: Float[Array, "samples observed"]) -> float:
    """The median over samples of λ_max = ‖Wᵀy‖_∞, the smallest weight at which a sample's best code is zero."""
    return float(jnp.median(jnp.max(jnp.abs(data @ params.dictionary), axis=1)))


def pictures(params: sparse_coding.Params, *shape: int) -> Float[np.ndarray, "atoms ..."]:
    """The atoms as pictures."""
    return np.asarray(params.dictionary.T).reshape(-1, *shape)


def show_atoms(
    axes: Axes, atoms: Float[np.ndarray, "atoms rows columns"], across: int, title: str = "", own_scale: bool = True
) -> None:
    """Draw atoms side by side in grey: middle grey is zero, the largest absolute value is black or white.

    Args:
        axes: the axes to draw in.
        atoms: the pictures; the last row may be incomplete.
        across: atoms in a row.
        title: title of the panel.
        own_scale: whether each atom has a scale of its own; otherwise all share one.
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


def learning_curves(learned: Mapping[str, Learned], energy: str, coefficients: str) -> Figure:
    """Energy and number of coefficients that are not zero against the number of updates.

    Args:
        learned: dictionaries, by the name in the legend.
        energy: the label of the axis of energies.
        coefficients: the label of the axis of numbers of coefficients.
    """
    figure, axes = plots.panels(1, 2, width=4.8, height=3.6)
    for (name, one), color in zip(learned.items(), plots.PALETTE.values(), strict=False):
        width = max(1, len(one.energy) // 100)
        axes[0, 0].plot(*smoothed(one.energy, width), color=color, label=name)
        steps, density = smoothed(one.density, width)
        axes[0, 1].plot(steps, density * one.params.dictionary.shape[1], color=color)
    for panel in axes[0]:
        panel.set_xscale("log")
    axes[0, 0].legend()
    plots.label(axes[0, 0], "updates", energy, "Energy")
    plots.label(axes[0, 1], "updates", coefficients, "Sparsity")
    return figure


def plain(axes: Axes) -> None:
    """Remove ticks, grid and frame from the axes of a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def smoothed(values: Float[np.ndarray, " n"], width: int) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """The middle of consecutive windows, counted from 1, and the means over them.

    >>> [part.tolist() for part in smoothed(np.array([1.0, 3.0, 5.0, 7.0]), 2)]
    [[1.5, 3.5], [2.0, 6.0]]
    """
    width = max(1, min(width, len(values)))
    windows = len(values) // width
    means = values[: windows * width].reshape(windows, width).mean(axis=1)
    return np.arange(windows) * width + (width + 1) / 2, means
