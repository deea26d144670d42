"""With too large a latent, the free energy is zero everywhere

The model is the generalized horn, E(x, y, z) = ‖y - g(f(x), z)‖², with a latent of 1, 2, 4 or 8 dimensions. From
dim(z) = 2 on, which is the dimension of y, some code z exists for every y. Then the free energy is zero on the data,
but it is also zero on uniform noise, and the model has learned nothing. Three regularizers limit the information in the
latent, and each is measured here: its squared norm, its L1 norm, and noise ε with a weak squared norm (a spring),

    E(y, z) = ‖y - g(f(x), z)‖² + λ‖z‖²
    E(y, z) = ‖y - g(f(x), z)‖² + λ Σ|zᵢ|
    E(y, z) = mean over ε of ‖y - g(f(x), z + σε)‖² + λ‖z‖²

How much they limit it is a matter of their weights λ. Every regularizer is trained with three of them. The best one is
chosen by other held-out samples than those that are reported: the one whose model gives uniform noise the highest free
energy in proportion to that of data.

All forty kinds of model are trained by one compiled program. A mask sets how many of the eight dimensions a model may
use, and the regularizers differ only in their weights.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ebmjax import problems
from ebmjax.energies import generalized_horn, penalties
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.learn.train import begin
from ebmjax.loops import map_chunks
from ebmjax.losses.energy import energy_loss
from ebmjax.minimize.descent import gradient_descent
from ebmjax.types import Learner
from experiments.application import options
from experiments.application.options import Between, Count
from experiments.application.report import Report
from experiments.application.shown import one_epoch, scan_shown
from experiments.drawing import plots

SCALE = 5.0  # y is divided by this for training, so that the outputs of the network are of order one
LATENT = 8  # dimensions of the latent of every network; a mask sets how many a model may use
DIMENSIONS = (1, 2, 4, 8)
REGULARIZERS = ("none", "squared norm", "L1 norm", "noise")

Strength = Annotated[float, Between(0, math.inf)]


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    samples: Count = 400
    """Training samples."""
    chosen_by: Count = 100
    """Held-out samples, and points of uniform noise, by which the weights are chosen; as many of each."""
    evaluated: Count = 200
    """Further held-out samples, and points of uniform noise, whose free energy is reported; as many of each."""
    seeds: Count = 3
    """Models of each kind. Only the one of least training loss is measured, because training fails for some seeds."""
    epochs: Count = 300
    """Passes over the data."""
    batch_size: Count = 32
    """Samples in each update."""
    rate: float = 3e-3
    """Adam's first learning rate; it decays to zero along a cosine."""
    hidden: tuple[int, ...] = (24, 24)
    """Hidden layers of the decoder g."""
    starts: Count = 16
    """Codes from which the best is taken as the start of the descent; four times as many for measurements."""
    steps: Count = 10
    """Steps of the descent over z in training; ten times as many for measurements."""
    norm_weights: tuple[Strength, Strength, Strength] = (0.005, 0.05, 0.5)
    """Weights λ of the squared norm, in units of the scaled energy."""
    l1_weights: tuple[Strength, Strength, Strength] = (0.005, 0.05, 0.5)
    """Weights λ of the L1 norm."""
    noise: Strength = 0.8
    """Standard deviation σ of the noise on the code."""
    springs: tuple[Strength, Strength, Strength] = (1e-5, 1e-4, 1e-3)
    """Weights λ of the squared norm beside the noise. Without it, codes grow until the noise has no effect."""
    draws: int = 4
    """Draws of the noise in each mean, new ones in each update; four times as many, fixed, for measurements."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(seeds=1, samples=200, chosen_by=20, evaluated=40, epochs=20, hidden=(16,), starts=8, steps=5, draws=3)


class Limits(NamedTuple):
    """What limits the latent of one model."""

    mask: Float[Array, " latent"]
    """1 for each dimension that the model may use, else 0."""
    norm_weight: Float[Array, ""]
    l1_weight: Float[Array, ""]
    noise: Float[Array, ""]
    """Standard deviation σ of the noise."""


def run(config: Config, report: Report) -> None:
    """Train a model for every dimension and regularizer, and measure F on data and on uniform noise."""
    data_key, held_out_key, uniform_key, noise_key, train_key, start_key = jax.random.split(report.key(), 6)
    data = problems.horn_data(data_key, config.samples)
    held_out = problems.horn_data(held_out_key, config.chosen_by + config.evaluated)
    box = float(jnp.abs(data.y).max())
    uniform = held_out._replace(y=jax.random.uniform(uniform_key, held_out.y.shape, minval=-box, maxval=box))
    codes = jax.random.normal(start_key, (4 * config.starts, LATENT))

    limits = _limits(config)
    draws = jax.random.normal(noise_key, (4 * config.draws, LATENT))
    draws = draws - draws.mean(axis=0)
    trained, losses = _trained(config, report, jax.random.split(train_key, config.seeds), limits, data, codes)
    best = np.argmin(losses, axis=0)
    models = jax.tree.map(lambda leaf: leaf[best, np.arange(len(best))], trained)
    with report.stage("measuring"):
        points = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), held_out, uniform)
        free = partial(free_energies, points=points, codes=codes, draws=draws, steps=10 * config.steps)
        measured = report.compiled(lambda pair: jax.lax.map(lambda one: free(*one), pair), (models, limits))
    # the axes are data and noise, kinds of model
    split = np.asarray(measured).reshape(len(limits.mask), 2, -1).swapaxes(0, 1)
    for_choice, reported = (
        part.mean(axis=2) for part in (split[:, :, : config.chosen_by], split[:, :, config.chosen_by :])
    )
    chosen = _chosen(for_choice[1] / for_choice[0])
    on_data, on_noise = (part[chosen] for part in reported)
    ratio = on_noise / on_data

    for row, regularizer in enumerate(REGULARIZERS):
        for column, dimension in enumerate(DIMENSIONS):
            report.metrics(
                regularizer=regularizer,
                dimension=dimension,
                free_energy_on_data=on_data[row, column],
                free_energy_on_noise=on_noise[row, column],
                weight=_weight(config, chosen[row, column]),
            )
    report.summary(
        dimensions=DIMENSIONS,
        free_energy_on_noise_unregularized=on_noise[0],
        free_energy_on_data_unregularized=on_data[0],
        free_energy_on_noise_squared_norm=on_noise[1],
        free_energy_on_noise_l1_norm=on_noise[2],
        free_energy_on_noise_noise=on_noise[3],
        **{f"noise_to_data_ratio_8_{name.replace(' ', '_')}": ratio[row, 3] for row, name in enumerate(REGULARIZERS)},
        **{
            f"weight_8_{name.replace(' ', '_')}": _weight(config, chosen[row, 3])
            for row, name in enumerate(REGULARIZERS)
            if row
        },
    )
    rows = [
        (
            regularizer,
            *(
                f"{data:.3g} / {noise:.3g}" + (f", λ = {_weight(config, kind):g}" if row else "")
                for data, noise, kind in zip(on_data[row], on_noise[row], chosen[row], strict=True)
            ),
        )
        for row, regularizer in enumerate(REGULARIZERS)
    ]
    columns = ("regularizer", *(f"dim(z) = {dimension}" for dimension in DIMENSIONS))
    report.table("Mean free energy of held-out data / of uniform noise (squared units of y)", columns, rows)
    report.text(
        f"With eight dimensions, noise has {ratio[0, 3]:.1f} times the free energy of data without a regularizer, and "
        + ", ".join(f"{ratio[row, 3]:.1f} times with {_with(name)}" for row, name in enumerate(REGULARIZERS) if row)
        + "."
    )
    _draw_means(report, on_data, on_noise)
    _draw_maps(report, models, limits, chosen[:, 3], codes, draws, config, box)


def _trained(config: Config, report: Report, keys, limits: Limits, data: problems.HornData, codes):
    """The parameters and the last losses of all models, with the axes seeds and kinds."""
    scaled = (data.x, data.y / SCALE)
    of_kind = partial(_learner, config, codes[: config.starts])

    def start(key, limits):
        init_key, train_key = jax.random.split(key)
        params = generalized_horn.init(init_key, latent=LATENT, hidden=config.hidden)
        return begin(train_key, of_kind(limits), params, config.epochs)

    def step(progress, key, limits, data):
        progress, metrics = one_epoch(key, of_kind(limits), progress, data, config.batch_size)
        return progress, metrics.learner.loss.mean()

    def tell(done, losses):
        report.metrics(epoch=done + len(losses), loss=losses[-1])
        return f"median loss {np.median(losses[-1]):.3g}"

    starts = jax.vmap(jax.vmap(start, (None, 0), (0, 1)), (0, None), (0, 1))
    progress, epoch_keys = jax.jit(starts)(keys, limits)
    steps = jax.vmap(jax.vmap(step, (0, 0, 0, None)), (0, 0, None, None))
    title = f"training {config.seeds} × {len(limits.mask)} models, {config.epochs} epochs"
    progress, losses = scan_shown(report, title, steps, progress, epoch_keys, limits, scaled, tell=tell)
    return jax.device_get(progress.state.params), losses[-1]


def _learner(config: Config, codes: Array, limits: Limits) -> Learner:
    """Learns one model at zero temperature."""

    def loss(key, params, batch):
        draws = jax.random.normal(key, (config.draws, LATENT))
        of_sample = lambda params, sample: _least(params, limits, sample[0], sample[1], codes, draws, config.steps)
        return energy_loss(of_sample)(params, batch)

    updates = config.epochs * (config.samples // config.batch_size)
    return stochastic_gradient(loss, optax.adam(optax.cosine_decay_schedule(config.rate, updates)))


def free_energies(
    params, limits: Limits, points: problems.HornData, codes, draws, steps: int
) -> Float[Array, " points"]:
    """F_inf of each point, in squared units of y, by gradient descent from the best of the given codes."""
    one = lambda point: _least(params, limits, point[0], point[1] / SCALE, codes, draws, steps) * SCALE**2
    return map_chunks(one, tuple(points), 50)


def _least(params, limits: Limits, x, y, codes, draws, steps):
    """Minimum over z of the regularized energy, by gradient descent from the best of the codes."""
    energy = lambda z: generalized_horn.energy(params, x, y, limits.mask * z)
    energy = penalties.noisy(energy, limits.noise * draws)
    energy = penalties.regularized(energy, penalties.squared_norm, limits.norm_weight)
    energy = penalties.regularized(energy, penalties.l1_norm, limits.l1_weight)
    start = codes[jnp.argmin(jax.vmap(energy)(codes))]
    return gradient_descent(energy, start, optax.adam(0.1), max_steps=steps, tolerance=0.0).energy


def _limits(config: Config) -> Limits:
    """All kinds of model: no regularizer, then three weights of each; the number of dimensions changes fastest."""
    masks = [jnp.where(jnp.arange(LATENT) < dimension, 1.0, 0.0) for dimension in DIMENSIONS]
    weights = [
        (0.0, 0.0, 0.0),
        *((weight, 0.0, 0.0) for weight in config.norm_weights),
        *((0.0, weight, 0.0) for weight in config.l1_weights),
        *((weight, 0.0, config.noise) for weight in config.springs),
    ]
    pairs = [Limits(mask, *(jnp.array(weight) for weight in row)) for row in weights for mask in masks]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *pairs)


def _chosen(ratios: np.ndarray) -> np.ndarray:
    """The kind of model with the weight of highest ratio, for each regularizer (rows) and number of dimensions."""
    kinds = np.arange(len(ratios)).reshape(-1, len(DIMENSIONS))
    best = [kinds[:1]]
    for first in range(1, len(kinds), 3):
        three = kinds[first : first + 3]
        best.append(np.take_along_axis(three, ratios[three].argmax(axis=0)[None], axis=0))
    return np.concatenate(best)


def _weight(config: Config, kind: int) -> float:
    """λ of a kind of model, 0 without a regularizer."""
    return (0.0, *config.norm_weights, *config.l1_weights, *config.springs)[kind // len(DIMENSIONS)]


def _with(name: str) -> str:
    return name if name == "noise" else f"the {name}"


def _draw_means(report, on_data, on_noise):
    figure, axes = plots.panels(1, 4, width=3.0, height=3.2, share_y=True)
    for panel, regularizer, data, noise in zip(axes[0], REGULARIZERS, on_data, on_noise, strict=True):
        panel.plot(range(4), noise, "o-", color=plots.PALETTE["vermillion"], label="uniform noise")
        panel.plot(range(4), data, "s-", color=plots.PALETTE["blue"], label="held-out data")
        panel.set_yscale("log")
        panel.set_xticks(range(4), [str(dimension) for dimension in DIMENSIONS])
        title = "no regularizer" if regularizer == "none" else regularizer
        plots.label(panel, "dim(z)", "mean F∞ (squared units of y)" if regularizer == "none" else "", title)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    report.figure(
        "means",
        figure,
        "Mean free energy of held-out data and of uniform noise in the same box. A model that has learned the data "
        "gives noise a higher free energy. Without a regularizer both free energies fall to nearly zero as soon as the "
        "latent has the dimension of y.",
    )


def _draw_maps(report, models, limits, largest, codes, draws, config, box):
    """F over y at x = 1, for the smallest latent and for the largest one with and without a regularizer.

    `largest` are the kinds of model with the largest latent, one for each regularizer.
    """
    side = 25 if report.quick else 49
    axis = jnp.linspace(-1.3 * box, 1.3 * box, side)
    y = jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    points = problems.HornData(jnp.full(len(y), 1.0), y)
    kinds = [0, *map(int, largest)]
    titles = ["dim 1, no regularizer", "dim 8, no regularizer", *(f"dim 8, {name}" for name in REGULARIZERS[1:])]
    some = jax.tree.map(lambda leaf: leaf[jnp.array(kinds)], (models, limits))
    free = partial(free_energies, points=points, codes=codes, draws=draws, steps=5 * config.steps)
    with report.stage("drawing maps"):
        maps = report.compiled(lambda pair: jax.lax.map(lambda one: free(*one), pair), some).reshape(5, side, side)
    figure, axes = plots.panels(1, 5, width=3.0, height=3.1)
    for panel, values, title in zip(axes[0], maps, titles, strict=True):
        # Regularizers add some energy at every y, so only the difference from the least F distinguishes between y.
        plots.cold_warm_map(panel, axis, axis, (values - values.min()) / 20, title=title, colorbar=False, contours=())
    report.figure(
        "maps",
        figure,
        "F∞(x = 1, y) above its least value, from 0 (cold, blue) to 20 squared units (hot, red), by the dimension of "
        "the latent and the regularizer. With one dimension F is low only on a curve, which is the ellipse after a "
        "full training. With eight dimensions and no regularizer it is low everywhere. The two norms raise it far from "
        "the origin. Noise limits how precisely a code can determine y, and after a full training F is low on the "
        "ellipse again.",
    )
