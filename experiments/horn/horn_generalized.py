"""A horn that has to find the circle itself

In the plain horn the decoder g(z) = [cos z, sin z], which moves y around a circle, is given. Here g is a network too:

    E(x, y, z) = ‖y - g(f(x), z)‖²,        f: 1 → 8 → 8 → features,   g: features + 1 → hidden → 2

Training has to bend the interval of codes z into a closed curve, of the right size for every x. If training were at
zero temperature from the start, most codes would never be the nearest to any sample, and would learn nothing. Therefore
training is an annealing. At first, at high temperature, all codes have a share in every sample. The temperature then
falls in stages, until only the nearest code explains a sample. The last stages are at zero temperature, with a learning
rate that falls to a thirtieth; there Newton's method finds the nearest code between those of the grid. The networks are
smooth, since the circle is.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ebmjax import free_energy, gradient, interval, problems, train
from ebmjax.energies import ellipse, generalized_horn
from ebmjax.loops import map_chunks
from ebmjax.losses.energy import energy_loss
from ebmjax.minimize.descent import newton
from ebmjax.minimize.search import refined_search
from experiments.application import options
from experiments.application.options import AtLeast, Count
from experiments.application.report import Report
from experiments.application.shown import scan_shown
from experiments.drawing import beta_axis, plots
from experiments.horn.trained_horns import true_free_energies

SCALE = 5.0  # y is divided by this for training, so that the outputs of the network are of order one
COLD = 3
"""Stages at zero temperature."""
COLDEST = 3000.0
"""The inverse temperature of the stage before them, in 1/25 in units of y: near that of the noise of the data."""


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    samples: Count = 400
    """Training samples."""
    chosen_by: Count = 400
    """Held-out samples by which the model is chosen that is drawn."""
    held_out: Count = 1000
    """Further held-out samples, on which the free energy is reported."""
    seeds: Count = 16
    """Number of models, which are trained together."""
    stages: Annotated[int, AtLeast(5)] = 16
    """Number of stages of the annealing, from a high temperature to zero. The last three are at zero temperature."""
    epochs: Count = 100
    """Passes over the data in each stage."""
    batch_size: Count = 32
    """Samples in each update."""
    rate: float = 3e-3
    """Adam's learning rate; over the stages at zero temperature it falls to a thirtieth."""
    hidden: tuple[int, ...] = (32, 32)
    """Hidden layers of the decoder g."""
    codes: int = 64
    """Number of codes z, evenly spaced in the latent interval [-1, 1]: the grid of the warm stages, and the starts of
    Newton's method at zero temperature."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(chosen_by=50, held_out=100, seeds=2, stages=7, epochs=15, hidden=(16,), codes=32)


class Annealed(NamedTuple):
    """A trained model and its mean loss at the end of each stage, in squared units of y."""

    params: generalized_horn.Params
    losses: Float[Array, " stages"]


def run(config: Config, report: Report) -> None:
    """Anneal several models at once, compare them with the true horn, and draw the best."""
    data_key, held_out_key, train_key = jax.random.split(report.key(), 3)
    data = problems.horn_data(data_key, config.samples)
    others = problems.horn_data(held_out_key, config.chosen_by + config.held_out)
    held_out = jax.tree.map(lambda leaf: leaf[config.chosen_by :], others)
    space = interval(-1.0, 1.0, config.codes)
    fine = interval(-1.0, 1.0, 4 * config.codes)  # for measurements, since the energy has several minima
    betas = jnp.append(jnp.geomspace(0.3, COLDEST, config.stages - COLD), jnp.full(COLD, jnp.inf))

    models = _annealed(config, report, jax.random.split(train_key, config.seeds), data, space, betas)
    with report.stage("measuring"):
        free = report.compiled(
            lambda params: jax.lax.map(lambda one: free_energies(one, held_out, fine), params), models.params
        )
        first = jax.tree.map(lambda leaf: leaf[: config.chosen_by], others)
        finest = interval(-1.0, 1.0, 64 * config.codes)  # the peaks are narrow at this temperature
        for_choice = report.compiled(
            lambda params: jax.lax.map(lambda one: warm_free_energy(one, first, finest), params), models.params
        )
    measured = free.mean(axis=1)
    distances = jax.jit(true_free_energies)
    floor = float(distances(held_out).mean())
    best = int(np.argmin(for_choice))
    params = jax.tree.map(lambda leaf: leaf[best], models.params)
    for seed, free in enumerate(measured):
        report.metrics(seed=seed, held_out_free_energy=free)

    x = jnp.linspace(0, 1, 51)
    z = jnp.linspace(-1, 1, 200)
    manifold = jax.jit(lambda params: decode_grid(params, x, z))
    found = manifold(params)
    untrained = manifold(_init(train_key, config))
    distance = float(jnp.sqrt(distances(problems.HornData(jnp.repeat(x, len(z)), found.reshape(-1, 2))).mean()))
    report.summary(
        held_out_free_energy=float(measured[best]),
        held_out_free_energy_median=float(np.median(measured)),
        held_out_free_energy_worst=float(np.max(measured)),
        noise_floor=floor,
        rms_distance_to_true_horn=distance,
        largest_radius=float(problems.horn_radii(jnp.array(1.0)).max()),
    )
    ours = float(measured[best])
    report.text(
        f"The figures show that of {config.seeds} models which has the least free energy at β = {COLDEST:g}, near the "
        f"temperature of the noise, on {config.chosen_by} other held-out samples. At zero temperature a stretch of the "
        "curve that lies far from all data costs nothing; here it takes codes from the rest. "
        f"Its mean held-out free energy is {ours:.4f}; that of the true horn is {floor:.4f}. The root mean squared "
        f"distances are {ours**0.5:.2f} and {floor**0.5:.2f}, for radii of up to 14.8."
    )
    _draw_horns(report, x, untrained, found, data)
    _draw_slices(report, params, fine, data)
    _draw_annealing(report, betas, models.losses, floor)


def _annealed(config: Config, report: Report, keys, data, space, betas: Float[Array, " stages"]) -> Annealed:
    """All models through all temperatures: one program for a stage of all of them, called once for each temperature."""
    init_keys, train_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    keys_of_stages = jax.vmap(lambda key: jax.random.split(key, config.stages), out_axes=1)(train_keys)
    # the rate at the beginning of each stage, and at the end of the last one
    rates = config.rate * 10.0 ** -np.append(np.zeros(config.stages - COLD), np.linspace(0, 1.5, COLD + 1))
    rates, levels = rates.astype(np.float32), np.asarray(betas)
    params = jax.vmap(lambda key: _init(key, config))(init_keys)
    stage = jax.vmap(partial(train_stage, config, data, space), (0, 0, None, None, None))

    def tell(done, losses):
        for row, loss in enumerate(losses, start=done):
            report.metrics(stage=row, beta=levels[row], losses=loss)
        return f"median loss {np.median(losses[-1]):.3g}"

    params, losses = scan_shown(
        report,
        f"annealing {config.seeds} models over {config.stages} temperatures",
        lambda params, item: stage(item[0], params, *item[1:]),
        params,
        (keys_of_stages, betas, rates[:-1], rates[1:]),
        tell=tell,
    )
    return Annealed(params, losses.T)


def train_stage(
    config: Config, data: problems.HornData, space, key, params: generalized_horn.Params, beta, first_rate, last_rate
) -> tuple[generalized_horn.Params, Float[Array, ""]]:
    """Train one model at one temperature, and its mean loss in the last epoch; a pure function, to be vmapped.

    At zero temperature the energies of a grid alone would teach the decoder to pull its codes along the curve as well,
    towards the samples between them: at the mouth of the horn they are 1.3 apart, and the noise is 0.05.
    """
    updates = config.epochs * (config.samples // config.batch_size)
    rate = lambda count: first_rate * (last_rate / first_rate) ** (count / updates)

    def free(params, sample):
        energy = partial(generalized_horn.energy, params, *sample)
        cold = lambda: refined_search(energy, space, partial(newton, max_steps=3), starts=1).energy
        return jax.lax.cond(jnp.isinf(beta), cold, lambda: free_energy(energy, space, beta))

    learner = gradient(energy_loss(free), optax.adam(rate))
    trained = train(key, learner, params, (data.x, data.y / SCALE), config.batch_size, config.epochs)
    return trained.params, trained.metrics.learner.loss[-1].mean() * SCALE**2


def _init(key, config: Config) -> generalized_horn.Params:
    return generalized_horn.init(key, hidden=config.hidden, activation=jax.nn.silu)


def free_energies(params: generalized_horn.Params, data: problems.HornData, space) -> Float[Array, " samples"]:
    """F_inf of each sample with a refined z, in squared units of y."""

    def one(sample):
        x, y = sample
        return refined_search(partial(generalized_horn.energy, params, x, y / SCALE), space).energy * SCALE**2

    return map_chunks(one, tuple(data), 100)


def warm_free_energy(params: generalized_horn.Params, data: problems.HornData, space) -> Float[Array, ""]:
    """Mean F at `COLDEST`: up to a constant the negative log-likelihood of the samples, over this beta."""
    one = lambda sample: free_energy(
        partial(generalized_horn.energy, params, sample[0], sample[1] / SCALE), space, COLDEST
    )
    return map_chunks(one, tuple(data), 100).mean() * SCALE**2


def decode_grid(params: generalized_horn.Params, x: Float[Array, " a"], z: Float[Array, " b"]) -> Float[Array, "a b 2"]:
    """Points of the manifold, in units of y."""
    row = lambda x: jax.vmap(lambda z: generalized_horn.decode(params, x, z))(z)
    return jax.vmap(row)(x) * SCALE


def _draw_horns(report, x, untrained, found, data):
    figure, axes = plots.spatial(2)
    for panel, surface, title in zip(axes, (untrained, found), ("Untrained", "Trained"), strict=True):
        plots.horn_surface(panel, x, surface)
        plots.horn_points(panel, data.x, data.y, label="samples")
        panel.set_title(title)
    report.figure(
        "horns",
        figure,
        "The decoded interval of codes at every x, before and after training. The model does not contain a circle.",
    )


def codes_in_use(
    params: generalized_horn.Params, x, points: Float[Array, "points 2"], space
) -> Float[Array, " points"]:
    """The nearest code of each of these points y at one x."""
    nearest = lambda y: refined_search(partial(generalized_horn.energy, params, x, y / SCALE), space).value
    return jax.vmap(nearest)(points)


def _draw_slices(report, params, space, data):
    figure, axes = plots.panels(1, 4, width=3.2, height=3.3)
    z = np.linspace(-1, 1, 400)
    angles = jnp.linspace(0, 2 * jnp.pi, 400)
    in_use = jax.jit(lambda x, points: codes_in_use(params, x, points, space))
    for panel, x in zip(axes[0], (0.0, 1 / 3, 2 / 3, 1.0), strict=True):
        x = jnp.array(x)
        curve = np.asarray(decode_grid(params, x[None], jnp.asarray(z))[0])
        truth = jax.vmap(partial(ellipse.decode, ellipse.Params(problems.horn_radii(x))))(angles)
        distance = np.abs(z[:, None] - np.asarray(in_use(x, truth))).min(axis=1)
        used = (distance < 4 / len(z))[:, None]
        near = np.abs(data.x - x) < 0.02
        plots.curve(panel, truth, color=plots.PALETTE["orange"], label="true horn")
        plots.curve(panel, np.where(used, curve, np.nan), label="trained", closed=False)
        if not used.all():
            unused = np.where(used, np.nan, curve)
            label = "codes nearest to no point of the true horn"
            panel.plot(*unused.T, ":", color=plots.PALETTE["blue"], label=label)
        plots.scatter(panel, data.y[near], label="samples within 0.02")
        plots.label(panel, "y₁", "y₂", f"x = {float(x):.2f}")
    labels = dict(item for panel in axes[0] for item in zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=4)
    report.figure(
        "slices",
        figure,
        "Cross-sections: the true ellipse, and the decoded interval of codes z ∈ [-1, 1]. Nothing in the model makes "
        "its ends meet, so they overlap or leave a short gap. Where they overlap, one of them is nearer to the true "
        "horn; the other costs nothing at zero temperature, since no point takes it as its code (dotted).",
    )


def _draw_annealing(report, betas, losses, floor):
    figure, axes = plots.one()
    positions = beta_axis.positions(betas)
    axes.plot(positions, np.asarray(losses).T, color=plots.PALETTE["blue"], alpha=0.5, linewidth=1.2)
    axes.plot([], [], color=plots.PALETTE["blue"], label="one model")
    axes.axhline(floor, color=plots.PALETTE["vermillion"], linestyle="--", label="true horn at β = ∞")
    axes.set_yscale("log")
    beta_axis.draw(axes, betas)
    plots.label(
        axes, "inverse temperature β of the stage (1/25 in units of y)", "mean free energy (squared units of y)"
    )
    axes.legend()
    report.figure(
        "annealing",
        figure,
        "Mean free energy of the training samples at the end of each stage, at the temperature of that stage. It falls "
        "with β for two reasons: the model improves, and the free energy of any model does not increase with β.",
    )
