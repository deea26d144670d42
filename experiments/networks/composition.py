"""Learned energies composed: what two of them allow, what either does, one without the other, and the path between.

Three shapes of the plane are learned, each by a network of its own, from samples and by the exact likelihood. Then
nothing is learned any more: `ebmjax.energies.composition` makes new energies of the three. Their **sum** is the product
of the laws (bar **and** ring), their **softmin** is the mixture (bar **or** ring), a negative weight takes a shape away
(ring and **not** bar), and (1 - t) E₀ + t E₁ leads from one to the other. Compositions are energies, and compose.

Each is sampled by parallel tempering, from chains that know nothing of the shapes, and compared with its exact density
on a grid: the distance of the histogram, beside the distance that as many independent draws would have.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ebmjax import log_partition, posterior
from ebmjax.energies import neural
from ebmjax.energies.composition import interpolated, mixture, negated, product_of_experts, weighted_sum
from ebmjax.learn.gradient import gradient
from ebmjax.learn.train import train
from ebmjax.loops import repeat
from ebmjax.losses.likelihood import negative_log_likelihood
from ebmjax.marginalize.spaces import weighted
from ebmjax.sample.metropolis import gaussian_step, metropolis
from ebmjax.sample.tempering import tempering
from ebmjax.types import Energy, Space
from experiments.application.report import Report
from experiments.drawing import plots

SIDE = 4.0  # everything happens in [-4, 4]²
FINE = 4  # cells of the exact density along each side of a bin of the histograms
LADDER = (1.0, 0.4, 0.12, 0.0)  # temperatures of the replicas, as shares of beta: the hottest walks freely
STEP = 0.35  # of the coldest random walk, as wide as the shapes are thick


@dataclass(frozen=True)
class Config:
    """How well the shapes are learned, and how carefully the compositions are sampled."""

    beta: float = 2.0
    """Inverse temperature at which the energies are learned, composed and sampled."""
    not_weight: float = 1.0
    """Power w of what is taken away: p(ring) / p(bar or anything)^w."""
    path: tuple[float, ...] = (0.25, 0.5, 0.75)
    """Places t of the path from bar to ring."""
    samples: int = 10_000
    """Samples that each shape is learned from."""
    epochs: int = 100
    """Passes over them, in batches of 500."""
    units: int = 32
    """Units of each of the two hidden layers."""
    chains: int = 3_000
    """Chains of which each gives one draw."""
    steps: int = 120
    """Steps of each chain before it does."""
    bins: int = 20
    """Bins of the histograms along each side."""

    def __post_init__(self):
        if not (np.isfinite(self.beta) and self.beta > 0):
            raise ValueError(f"--beta is {self.beta}, expected a positive, finite number")
        if not self.not_weight >= 0:
            raise ValueError(f"--not-weight is {self.not_weight}, expected a number that is not negative")
        if not self.path or not all(0 <= t <= 1 for t in self.path):
            raise ValueError(f"--path is {self.path}, expected numbers in [0, 1]")
        for name in ("samples", "epochs", "units", "chains", "steps", "bins"):
            least = 500 if name == "samples" else 2 if name == "bins" else 1
            if getattr(self, name) < least:
                raise ValueError(f"--{name} is {getattr(self, name)}, expected at least {least}")


QUICK = Config(path=(0.5,), samples=2_000, epochs=100, units=24, chains=500, steps=80)


def bar(y: Array) -> Array:
    """-log density, up to a constant, of a horizontal bar from -2.8 to 2.8."""
    return (y[1] / 0.4) ** 2 / 2 + (jax.nn.relu(jnp.abs(y[0]) - 2.8) / 0.3) ** 2 / 2


def ring(y: Array) -> Array:
    """The same of a ring of radius 2."""
    return ((jnp.sqrt(jnp.sum(y**2) + 1e-12) - 2) / 0.3) ** 2 / 2


def blobs(y: Array) -> Array:
    """The same of three blobs on the ring."""
    angles = jnp.asarray(np.pi / 2 + np.arange(3) * 2 * np.pi / 3, y.dtype)
    centres = 2 * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    return -jax.nn.logsumexp(-jnp.sum((y[None] - centres) ** 2, axis=1) / (2 * 0.5**2))


SHAPES = {"bar": bar, "ring": ring, "blobs": blobs}


def wall(y: Array) -> Array:
    """The expert that confines: zero within the square, and infinite outside."""
    return jnp.where(jnp.max(jnp.abs(y)) <= SIDE, 0.0, jnp.inf)


def plane(cells: int) -> Space:
    """The middles of cells × cells squares that fill the plane, y₁ slowest: sums over them are integrals."""
    middles = (np.arange(cells) + 0.5) * (2 * SIDE / cells) - SIDE
    points = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)
    return weighted(jnp.asarray(points), jnp.full(cells**2, 2 * np.log(2 * SIDE / cells)))


def compositions(config: Config, logs: Any) -> dict[str, Energy]:
    """Every energy of the experiment, as a function of the three energies E(bar), E(ring), E(blobs) of one place.

    A composition sees of a place nothing but the energies of its components there: so these are computed once, and
    all compositions from them.

    Args:
        config: beta, the weight of "not", and the places of the path.
        logs: log-partitions of the three at beta.
    """
    beta, components = config.beta, {name: lambda energies, k=k: energies[k] for k, name in enumerate(SHAPES)}
    bar, ring, blobs = components.values()
    either = mixture([bar, blobs], beta, [2, 3], [logs[0], logs[2]])
    # what is negated has to be bounded: far from the bar there is no end to how unlikely it is
    bar_or_anything = mixture([bar, lambda energies: jnp.zeros(())], beta, [9, 1], [logs[0], 2 * np.log(2 * SIDE)])
    return components | {
        "bar and ring": product_of_experts([bar, ring]),
        "bar or ring": mixture([bar, ring], beta, [1, 1], [logs[0], logs[1]]),
        "ring and not bar": weighted_sum([ring, negated(bar_or_anything)], [1, config.not_weight]),
        "ring and (bar or blobs)": product_of_experts([ring, either]),
        **{f"bar to ring, t = {t:g}": interpolated(bar, ring, t) for t in config.path},
    }


def exact(config: Config, values: Array, space: Space) -> tuple[Array, Array]:
    """The laws of all compositions on the plane, and the log-partitions of the three components.

    Args:
        values: the three energies at each point of the plane, (points, 3).
    """
    space = space._replace(points=values)
    logs = jnp.stack([log_partition(lambda energies, k=k: energies[k], space, config.beta) for k in range(len(SHAPES))])
    return jnp.stack([posterior(one, space, config.beta) for one in compositions(config, logs).values()]), logs


def draw(key: Array, energy: Energy, beta: float, chains: int, steps: int) -> Array:
    """One draw of exp(-beta E)/Z on the square from each chain, by parallel tempering from anywhere: (chains, 2)."""
    confined = product_of_experts([wall, energy])
    betas = beta * jnp.asarray(LADDER)

    def make_kernel(at):
        return metropolis(confined, at, gaussian_step(STEP / jnp.sqrt(jnp.maximum(at / beta, 0.02))))

    kernel = tempering(confined, make_kernel, betas)

    def chain(key):
        start_key, walk_key = jax.random.split(key)
        start = jax.random.uniform(start_key, (len(LADDER), 2), minval=-SIDE, maxval=SIDE)
        return repeat(walk_key, kernel, kernel.init(start), steps).positions[0]

    return jax.vmap(chain)(jax.random.split(key, chains))


def draw_from_grid(key: Array, law: Array, space: Space, cells: int, count: int) -> Array:
    """Independent draws of a law on the plane's cells, spread evenly within each cell."""
    cell_key, place_key = jax.random.split(key)
    chosen = jax.random.choice(cell_key, space.points, (count,), p=law)
    return chosen + jax.random.uniform(place_key, chosen.shape, minval=-SIDE / cells, maxval=SIDE / cells)


def histogram(draws: Any, bins: int) -> np.ndarray:
    """Shares of the draws in the bins (bins, bins), the first index along y₁."""
    counts, *_ = np.histogram2d(*np.asarray(draws, np.float64).T, bins=bins, range=[[-SIDE, SIDE]] * 2)
    return counts / len(draws)


def total_variation(first: Any, second: Any) -> float:
    """½ Σ|p - q|: the largest difference of the two probabilities of any one event."""
    return float(np.abs(np.asarray(first, np.float64) - np.asarray(second, np.float64)).sum() / 2)


def noise_floor(law: np.ndarray, draws: int, replicas: int = 400) -> tuple[float, float]:
    """Mean of the distance that so many independent draws have from their law, and its 99th percentile."""
    law = np.asarray(law, np.float64).ravel()
    counts = np.random.default_rng(0).multinomial(draws, law / law.sum(), replicas)
    distances = np.abs(counts / draws - law[None]).sum(axis=1) / 2
    return float(distances.mean()), float(np.quantile(distances, 0.99))


class Outcome(NamedTuple):
    """One composition: its exact laws on the fine grid, of the shapes themselves and as learned, and draws of it."""

    truth: np.ndarray
    learned: np.ndarray
    draws: np.ndarray
    distance: float
    floor: float
    floor_99: float


def run(config: Config, report: Report) -> None:
    """Learn the shapes, compose them, and sample every composition."""
    cells = FINE * config.bins
    space = plane(cells)
    data_key, learn_key, draw_key = jax.random.split(report.key(), 3)
    true_values = jnp.stack([jax.vmap(shape)(space.points) / config.beta for shape in SHAPES.values()], axis=1)
    shapes = jax.jit(lambda: jnp.stack([posterior(shape, space, 1.0) for shape in SHAPES.values()]))()

    with report.stage("learning the shapes"):
        data = jax.vmap(lambda key, law: draw_from_grid(key, law, space, cells, config.samples))(
            jax.random.split(data_key, len(SHAPES)), shapes
        )
        params, losses = report.compiled(partial(learn, config), jax.random.split(learn_key, len(SHAPES)), data)
    energies = jax.vmap(neural.energy, (0, None))  # of one place, by all three networks
    values = jax.vmap(partial(energies, params))(space.points)
    both = jnp.stack([true_values, values])
    (true_laws, learned_laws), (_, logs) = report.compiled(jax.vmap(partial(exact, config), (0, None)), both, space)

    def sample(params, logs, key):
        composed = list(compositions(config, logs).values())

        def one(which_and_key):
            which, key = which_and_key
            energy = lambda y: jax.lax.switch(which, composed, energies(params, y))
            return draw(key, energy, config.beta, config.chains, config.steps)

        return jax.lax.map(one, (jnp.arange(len(composed)), jax.random.split(key, len(composed))))

    with report.stage("sampling"):
        draws = report.compiled(sample, params, logs, draw_key)
    outcomes = {
        name: _outcome(config, *each)
        for name, *each in zip(compositions(config, logs), true_laws, learned_laws, draws, strict=True)
    }
    _show(report, config, outcomes, np.asarray(logs), np.asarray(losses))


def learn(config: Config, keys: Array, data: Array) -> tuple[Any, Array]:
    """An energy for each shape, all trained at once; and the last epoch's mean losses."""
    space = plane(2 * config.bins)
    updates = config.epochs * (config.samples // 500)
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, updates))
    learner = gradient(negative_log_likelihood(neural.energy, space, config.beta), optimizer)

    def one(key, samples):
        init_key, train_key = jax.random.split(key)
        params = neural.init(init_key, (2, config.units, config.units))
        trained = train(train_key, learner, params, samples, 500, config.epochs)
        return trained.params, trained.metrics.learner.loss[-1].mean()

    return jax.vmap(one)(keys, data)


def binned(law: Any, bins: int) -> np.ndarray:
    """A law on the fine cells, summed over the bins of the histograms."""
    return np.asarray(law, np.float64).reshape(bins, FINE, bins, FINE).sum(axis=(1, 3))


def _outcome(config: Config, truth: Array, learned: Array, draws: Array) -> Outcome:
    law = binned(learned, config.bins)
    square = lambda law: np.asarray(law).reshape(FINE * config.bins, -1)
    distance = total_variation(histogram(draws, config.bins), law)
    return Outcome(square(truth), square(learned), np.asarray(draws), distance, *noise_floor(law, config.chains))


def _show(report: Report, config: Config, outcomes: dict[str, Outcome], logs: np.ndarray, losses: np.ndarray) -> None:
    names = list(outcomes)
    components, composed, path = names[:3], names[3 : -len(config.path)], names[-len(config.path) :]
    report.figure(
        "components",
        _densities({name: outcomes[name] for name in components}),
        "The three shapes: their densities, what the networks learned of them, and draws from the networks.",
    )
    report.figure(
        "logic",
        _densities({name: outcomes[name] for name in composed}),
        "What the shapes themselves would give, the exact density of the composed networks, and draws from it.",
    )
    report.figure(
        "path",
        _densities({name: outcomes[name] for name in ("bar", *path, "ring")}),
        "The geometric path from the bar to the ring, p ∝ p(bar)^(1-t) p(ring)^t: not a fading from one to the other, "
        "but what both find tolerable.",
    )
    report.figure(
        "distances",
        _distances(outcomes),
        "Total variation between the histogram of the draws and the exact density, and what independent draws have: "
        "mean (bar) and 99th percentile (line).",
    )
    for name, one in outcomes.items():
        report.metrics(composition=name, distance=one.distance, floor=one.floor, floor_99=one.floor_99)
    report.table(
        f"{config.chains} draws in {config.bins} × {config.bins} bins",
        ("composition", "distance of the draws", "of independent draws", "99th percentile", "learned from true"),
        [
            (name, one.distance, one.floor, one.floor_99, total_variation(one.truth, one.learned))
            for name, one in outcomes.items()
        ],
    )
    entropies = [-float(np.sum(one.truth * np.log(one.truth / _area(config)))) for one in list(outcomes.values())[:3]]
    report.table(
        "The shapes, learned",
        ("shape", "log Z of the network", "mean loss at the end", "entropy of the shape", "KL(shape, network)"),
        [
            (name, float(log), float(loss), entropy, divergence(outcomes[name]))
            for name, log, loss, entropy in zip(components, logs, losses, entropies, strict=True)
        ],
    )
    accident = 1 / (1 + np.exp(float(logs[1] - logs[0])))
    share, error = share_of_first(outcomes["bar"], outcomes["ring"], outcomes["bar or ring"].draws)
    report.text(
        "A network's energy has no zero of its own, so that a mixture needs the partition functions. Without them the "
        f"bar would have the share {accident:.2f} of bar or ring, an accident of how the two networks were trained. "
        f"With them it is to have one half; of the draws it has {share:.3f} ± {error:.3f}.\n\n"
        "What is taken away has to be bounded. E(bar) grows without end with the distance from the bar, so that "
        "E(ring) - E(bar) would drive everything to the edges of the square. The energy of **bar or anything**, a "
        "mixture of nine parts of the bar and one part of nothing in particular, is high nowhere; its negation digs a "
        "hole where the bar is, and does nothing elsewhere."
    )
    report.summary(
        total_variation={name: round(one.distance, 3) for name, one in outcomes.items()},
        noise_floor={name: round(one.floor, 3) for name, one in outcomes.items()},
        compositions_above_the_99th_percentile=sum(one.distance > one.floor_99 for one in outcomes.values()),
        share_of_the_bar=round(share, 3),
        share_of_the_bar_not_normalized=round(float(accident), 3),
    )


def share_of_first(first: Outcome, second: Outcome, draws: np.ndarray) -> tuple[float, float]:
    """Which part of the draws of an even mixture comes from its first component, by Bayes' rule, and its error."""
    cells = len(first.learned)
    index = np.clip(np.floor((np.asarray(draws, np.float64) + SIDE) * cells / (2 * SIDE)).astype(int), 0, cells - 1)
    of_first, of_second = (one.learned[index[:, 0], index[:, 1]].astype(np.float64) for one in (first, second))
    chances = of_first / (of_first + of_second)
    return float(chances.mean()), float(chances.std() / np.sqrt(len(chances)))


def divergence(one: Outcome) -> float:
    """KL(shape ‖ network) in nats, on the fine grid."""
    truth, learned = np.asarray(one.truth, np.float64), np.asarray(one.learned, np.float64)
    there = truth > 0
    return float(np.sum(truth[there] * np.log(truth[there] / np.maximum(learned[there], 1e-300))))


def _area(config: Config) -> float:
    return (2 * SIDE / (FINE * config.bins)) ** 2


def _densities(outcomes: dict[str, Outcome]) -> Figure:
    """A column a composition: the shapes composed, the networks composed, and draws."""
    figure, axes = plots.panels(3, len(outcomes), width=2.7, height=2.65, share_x=True, share_y=True)
    for column, (name, one) in zip(axes.T, outcomes.items(), strict=True):
        _density(column[0], one.truth)
        _density(column[1], one.learned)
        column[2].plot(*one.draws[:2_000].T, ".", color=plots.PALETTE["blue"], markersize=2.2, alpha=0.5, mew=0)
        column[0].set_title(name)
        column[2].set_xlabel("y₁")
    for panel, row in zip(axes[:, 0], ("shapes, exact", "networks, exact", "networks, draws"), strict=True):
        panel.set_ylabel(f"{row}\ny₂")
    for panel in axes.flat:
        panel.set(xlim=(-SIDE, SIDE), ylim=(-SIDE, SIDE), aspect="equal", xticks=(-3, 0, 3), yticks=(-3, 0, 3))
        panel.grid(visible=False)
    return figure


def _density(axes: Axes, law: np.ndarray) -> None:
    # a part of the brightest cells is as dark as they are, so that the flanks can be seen
    axes.imshow(
        law.T, origin="lower", extent=(-SIDE, SIDE, -SIDE, SIDE), cmap="Blues", vmin=0, vmax=float(law.max()) * 0.9
    )


def _distances(outcomes: dict[str, Outcome]) -> Figure:
    figure, axes = plots.one(7.0, 0.34 * len(outcomes) + 1.2)
    places = np.arange(len(outcomes))[::-1]
    all_of = list(outcomes.values())
    axes.barh(places, [one.floor for one in all_of], color="#d5dbe5", label="independent draws, mean")
    for place, one in zip(places, all_of, strict=True):
        first = place == places[0]
        axes.plot(
            [one.floor_99] * 2, [place - 0.4, place + 0.4], color="#777777", label="99th percentile" if first else None
        )
    axes.plot([one.distance for one in all_of], places, "o", color=plots.PALETTE["vermillion"], label="draws")
    axes.set_yticks(places, list(outcomes))
    axes.set_xlabel("total variation from the exact density")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
