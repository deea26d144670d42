"""A horn that has to find the circle itself

In the plain horn the decoder g(z) = [cos z, sin z], which moves y around a circle, is given. Here g is a network too:

    E(x, y, z) = ‖y - g(f(x), z)‖²,        f: 1 → 8 → 8 → features,   g: features + 1 → hidden → 2

Training has to bend the interval of codes z into a closed curve, of the right size for every x. If training were at
zero temperature from the start, most codes would never be the nearest to any sample, and would learn nothing. Therefore
training is an annealing. At first, at high temperature, all codes have a share in every sample. The temperature then
falls in stages, until only the nearest code explains a sample.
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
from ebmjax.minimize.search import refined_search
from experiments.application import options
from experiments.application.options import AtLeast, Count
from experiments.application.report import Report
from experiments.drawing import beta_axis, plots
from experiments.horn.trained_horns import true_free_energies

SCALE = 5.0  # y is divided by this for training, so that the outputs of the network are of order one


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    samples: Count = 400
    """Training samples."""
    held_out: Count = 1000
    """Samples on which the free energy is measured."""
    seeds: Count = 8
    """Number of models, trained in one compiled call. The one of least training loss is drawn."""
    stages: Annotated[int, AtLeast(4)] = 16
    """Number of temperatures of the annealing, from high to zero."""
    epochs: Count = 100
    """Passes over the data at each temperature."""
    batch_size: Count = 32
    """Samples in each update."""
    rate: float = 3e-3
    """Adam's learning rate; over the last three stages it falls to a thirtieth."""
    hidden: tuple[int, ...] = (32, 32)
    """Hidden layers of the decoder g."""
    codes: int = 64
    """Number of codes z, evenly spaced in the latent interval [-1, 1]."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(held_out=100, seeds=2, stages=7, epochs=15, hidden=(16,), codes=32)


class Annealed(NamedTuple):
    """A trained model and its mean loss at the end of each stage, in squared units of y."""

    params: generalized_horn.Params
    losses: Float[Array, " stages"]


def run(config: Config, report: Report) -> None:
    """Anneal several models at once, compare them with the true horn, and draw the best."""
    data_key, held_out_key, train_key = jax.random.split(report.key(), 3)
    data = problems.horn_data(data_key, config.samples)
    held_out = problems.horn_data(held_out_key, config.held_out)
    space = interval(-1.0, 1.0, config.codes)
    betas = jnp.append(jnp.geomspace(0.3, 3000.0, config.stages - 1), jnp.inf)

    with report.stage(f"annealing {config.seeds} models over {config.stages} temperatures"):
        anneal_one = lambda key: anneal(key, data, space, betas, config)
        models = report.compiled(jax.vmap(anneal_one), jax.random.split(train_key, config.seeds))
    with report.stage("measuring"):
        measured = report.compiled(
            lambda params: jax.lax.map(lambda one: free_energies(one, held_out, space).mean(), params), models.params
        )
    distances = jax.jit(true_free_energies)
    floor = float(distances(held_out).mean())
    best = int(np.argmin(models.losses[:, -1]))
    params = jax.tree.map(lambda leaf: leaf[best], models.params)
    for seed, (losses, free) in enumerate(zip(models.losses, measured, strict=True)):
        report.metrics(seed=seed, losses=losses, held_out_free_energy=free)

    x = jnp.linspace(0, 1, 51)
    z = jnp.linspace(-1, 1, 200)
    manifold = jax.jit(lambda params: decode_grid(params, x, z))
    found = manifold(params)
    untrained = manifold(generalized_horn.init(train_key, hidden=config.hidden))
    distance = float(jnp.sqrt(distances(problems.HornData(jnp.repeat(x, len(z)), found.reshape(-1, 2))).mean()))
    report.summary(
        held_out_free_energy=float(measured[best]),
        held_out_free_energy_median=float(np.median(measured)),
        held_out_free_energy_worst=float(np.max(measured)),
        noise_floor=floor,
        rms_distance_to_true_horn=distance,
        largest_radius=float(problems.horn_radii(jnp.array(1.0)).max()),
    )
    report.text(
        f"The figures show the model of least training loss among {config.seeds}. Its mean held-out free energy is "
        f"{float(measured[best]):.4f}; that of the true horn is {floor:.4f}. The root mean squared distances are "
        f"{float(measured[best]) ** 0.5:.2f} and {floor**0.5:.2f}, for radii of up to 14.8."
    )
    _draw_horns(report, x, untrained, found, data)
    _draw_slices(report, params, z, data)
    _draw_annealing(report, betas, models.losses, floor)


def anneal(key, data: problems.HornData, space, betas: Float[Array, " stages"], config: Config) -> Annealed:
    """Train one model through all temperatures; a pure function, so that it can be vmapped over keys."""
    init_key, train_key = jax.random.split(key)
    params = generalized_horn.init(init_key, hidden=config.hidden)
    scaled = (data.x, data.y / SCALE)
    rates = config.rate * jnp.append(jnp.ones(config.stages - 3), 10.0 ** -jnp.array([0.5, 1.0, 1.5]))

    def stage(params, key_beta_rate):
        key, beta, rate = key_beta_rate
        free = lambda params, sample: free_energy(partial(generalized_horn.energy, params, *sample), space, beta)
        learner = gradient(energy_loss(free), optax.adam(rate))
        trained = train(key, learner, params, scaled, config.batch_size, config.epochs)
        return trained.params, trained.metrics.learner.loss[-1].mean() * SCALE**2

    keys = jax.random.split(train_key, config.stages)
    return Annealed(*jax.lax.scan(stage, params, (keys, betas, rates)))


def free_energies(params: generalized_horn.Params, data: problems.HornData, space) -> Float[Array, " samples"]:
    """F_inf of each sample with a refined z, in squared units of y."""

    def one(sample):
        x, y = sample
        return refined_search(partial(generalized_horn.energy, params, x, y / SCALE), space).energy * SCALE**2

    return map_chunks(one, tuple(data), 100)


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


def _draw_slices(report, params, z, data):
    figure, axes = plots.panels(1, 4, width=3.2, height=3.3)
    ends = []
    for panel, x in zip(axes[0], (0.0, 1 / 3, 2 / 3, 1.0), strict=True):
        x = jnp.array(x)
        curve = decode_grid(params, x[None], z)[0]
        truth = jax.vmap(partial(ellipse.decode, ellipse.Params(problems.horn_radii(x))))(jnp.linspace(0, 6.29, 200))
        near = np.abs(data.x - x) < 0.02
        plots.curve(panel, truth, color=plots.PALETTE["orange"], label="true horn")
        plots.curve(panel, curve, label="trained", closed=False)
        plots.scatter(panel, data.y[near], label="samples within 0.02")
        plots.label(panel, "y₁", "y₂", f"x = {float(x):.2f}")
        ends.append(float(jnp.linalg.norm(curve[0] - curve[-1])))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    report.figure(
        "slices",
        figure,
        "Cross-sections: the true ellipse, and the decoded interval of codes z ∈ [-1, 1]. Its two ends overlap or "
        "leave a gap, because nothing in the model makes the curve closed.",
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
