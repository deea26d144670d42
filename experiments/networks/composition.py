"""Compositions of learned energies: two shapes at once, either shape, one without the other, and the path between.

Three shapes in the plane are learned from samples, each by a network of its own, by the exact likelihood. Then
`ebmjax.energies.composition` makes new energies from the three without further learning. The **sum** of two energies is
the product of their laws (bar **and** ring). The **softmin** is the mixture (bar **or** ring). A negative weight
removes a shape (ring and **not** bar). (1 - t) E₀ + t E₁ is a path from one to the other. A composition is an energy,
so compositions can be composed again.

Each composition is sampled by parallel tempering from random starts. The histogram of the draws is compared with the
exact density on a grid, and its distance with the distance that independent draws would have.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

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
from ebmjax.learn.train import begin
from ebmjax.loops import repeat
from ebmjax.losses.likelihood import negative_log_likelihood
from ebmjax.marginalize.spaces import box
from ebmjax.sample.metropolis import gaussian_step, metropolis
from ebmjax.sample.tempering import tempering
from ebmjax.types import Energy, Space
from experiments.application import options
from experiments.application.options import AtLeast, Count, NotNegative, Positive, Share
from experiments.application.report import Report
from experiments.application.shown import one_epoch, scan_shown
from experiments.drawing import plots

SIDE = 4.0  # all laws are confined to [-4, 4]²
FINE = 4  # cells of the exact density along each side of a bin of the histograms
LADDER = (1.0, 0.4, 0.12, 0.0)  # inverse temperatures of the replicas / beta: the hottest replica moves freely
STEP = 0.35  # standard deviation of the steps of the coldest replica, about the thickness of the shapes


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    beta: Positive = 2.0
    """Inverse temperature at which the energies are learned, composed and sampled."""
    not_weight: NotNegative = 1.0
    """Exponent w of the law that is removed: p(ring) / p(bar or anything)^w."""
    path: tuple[Share, ...] = (0.25, 0.5, 0.75)
    """Points t of the path from bar to ring."""
    samples: Annotated[int, AtLeast(500)] = 10_000
    """Samples of each shape to learn from."""
    epochs: Count = 100
    """Passes over the samples, in batches of 500."""
    units: Count = 32
    """Units in each of the two hidden layers."""
    chains: Count = 3_000
    """Chains; each makes one draw."""
    steps: Count = 120
    """Steps of a chain before its draw."""
    bins: Annotated[int, AtLeast(2)] = 20
    """Bins of the histograms along each axis."""

    def __post_init__(self):
        options.check(self)
        options.require(len(self.path) > 0, "path", self.path, "at least one number")


QUICK = Config(path=(0.5,), samples=2_000, epochs=100, units=24, chains=500, steps=80)


def bar(y: Array) -> Array:
    """-log p(y), up to a constant, of a horizontal bar from -2.8 to 2.8."""
    return (y[1] / 0.4) ** 2 / 2 + (jax.nn.relu(jnp.abs(y[0]) - 2.8) / 0.3) ** 2 / 2


def ring(y: Array) -> Array:
    """-log p(y), up to a constant, of a ring of radius 2."""
    return ((jnp.sqrt(jnp.sum(y**2) + 1e-12) - 2) / 0.3) ** 2 / 2


def blobs(y: Array) -> Array:
    """-log p(y), up to a constant, of three blobs on the ring."""
    angles = jnp.asarray(np.pi / 2 + np.arange(3) * 2 * np.pi / 3, y.dtype)
    centres = 2 * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    return -jax.nn.logsumexp(-jnp.sum((y[None] - centres) ** 2, axis=1) / (2 * 0.5**2))


SHAPES = {"bar": bar, "ring": ring, "blobs": blobs}


def wall(y: Array) -> Array:
    """The energy that confines the others to the square: zero inside, infinite outside."""
    return jnp.where(jnp.max(jnp.abs(y)) <= SIDE, 0.0, jnp.inf)


def plane(cells: int) -> Space:
    """The square [-4, 4]² as cells × cells midpoints; y₁ changes slowest."""
    return box(-SIDE, SIDE, cells, 2)


def compositions(config: Config, logs: Any) -> dict[str, Energy]:
    """Every energy of the experiment, as a function of the three energies E(bar), E(ring), E(blobs) at one point.

    A composition depends on a point only through the energies of its components. So these are computed once, and all
    compositions from them.

    Args:
        config: beta, the weight of "not", and the points of the path.
        logs: log-partitions of the three components at beta.
    """
    beta, components = config.beta, {name: lambda energies, k=k: energies[k] for k, name in enumerate(SHAPES)}
    bar, ring, blobs = components.values()
    either = mixture([bar, blobs], beta, [2, 3], [logs[0], logs[2]])
    # a negated energy has to be bounded above: E(bar) grows without limit far from the bar
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
    """One draw of exp(-beta E)/Z on the square from each chain, by parallel tempering from uniform starts: (chains, "
    "2)."""
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
    """Independent draws of a law on the plane's cells, uniform within each cell."""
    cell_key, place_key = jax.random.split(key)
    chosen = jax.random.choice(cell_key, space.points, (count,), p=law)
    return chosen + jax.random.uniform(place_key, chosen.shape, minval=-SIDE / cells, maxval=SIDE / cells)


def histogram(draws: Any, bins: int) -> np.ndarray:
    """Shares of the draws in the bins, (bins, bins); the first index is along y₁."""
    counts, *_ = np.histogram2d(*np.asarray(draws, np.float64).T, bins=bins, range=[[-SIDE, SIDE]] * 2)
    return counts / len(draws)


def total_variation(first: Any, second: Any) -> float:
    """Total variation distance ½ Σ|p - q|: the largest difference of the two probabilities of one event."""
    return float(np.abs(np.asarray(first, np.float64) - np.asarray(second, np.float64)).sum() / 2)


def noise_floor(law: np.ndarray, draws: int, replicas: int = 400) -> tuple[float, float]:
    """Mean and 99th percentile of the distance between a law and the histogram of `draws` independent draws of it."""
    law = np.asarray(law, np.float64).ravel()
    counts = np.random.default_rng(0).multinomial(draws, law / law.sum(), replicas)
    distances = np.abs(counts / draws - law[None]).sum(axis=1) / 2
    return float(distances.mean()), float(np.quantile(distances, 0.99))


class Outcome(NamedTuple):
    """One composition: its exact laws, its draws, and their distance."""

    truth: np.ndarray
    """The law of the composed true shapes on the fine grid."""
    learned: np.ndarray
    """The law of the composed networks on the fine grid."""
    draws: np.ndarray
    """Draws of the composed networks, (chains, 2)."""
    distance: float
    """Total variation between the histogram of the draws and the law of the composed networks."""
    floor: float
    """The mean distance of as many independent draws."""
    floor_99: float
    """The 99th percentile of this distance."""


def run(config: Config, report: Report) -> None:
    """Learn the shapes, compose them, and sample every composition."""
    cells = FINE * config.bins
    space = plane(cells)
    data_key, learn_key, draw_key = jax.random.split(report.key(), 3)
    true_values = jnp.stack([jax.vmap(shape)(space.points) / config.beta for shape in SHAPES.values()], axis=1)
    shapes = jax.jit(lambda: jnp.stack([posterior(shape, space, 1.0) for shape in SHAPES.values()]))()
    samples = lambda key, law: draw_from_grid(key, law, space, cells, config.samples)
    data = jax.vmap(samples)(jax.random.split(data_key, len(SHAPES)), shapes)
    params, losses = learn(config, report, jax.random.split(learn_key, len(SHAPES)), data)
    energies = jax.vmap(neural.energy, (0, None))  # of one place, by all three networks
    values = jax.vmap(partial(energies, params))(space.points)
    both = jnp.stack([true_values, values])
    (true_laws, learned_laws), (_, logs) = report.compiled(jax.vmap(partial(exact, config), (0, None)), both, space)
    names, outcomes = list(compositions(config, logs)), {}

    def sample(_, which_and_key, params, logs):
        which, key = which_and_key
        composed = list(compositions(config, logs).values())
        energy = lambda y: jax.lax.switch(which, composed, energies(params, y))
        return None, draw(key, energy, config.beta, config.chains, config.steps)

    def tell(done, draws):
        for row, of_one in enumerate(draws, start=done):
            one = outcomes[names[row]] = _outcome(config, true_laws[row], learned_laws[row], of_one)
            report.metrics(composition=names[row], distance=one.distance, floor=one.floor, floor_99=one.floor_99)
        return f"{names[row]}: distance {one.distance:.3f}"

    each = np.arange(len(names)), jax.random.split(draw_key, len(names))
    scan_shown(report, "sampling", sample, None, each, params, logs, tell=tell)
    _show(report, config, outcomes, np.asarray(logs), losses)


def learn(config: Config, report: Report, keys: Array, data: Array) -> tuple[Any, np.ndarray]:
    """Train an energy for each shape, all at once. Returns their parameters and the mean losses of the last epoch."""
    loss = negative_log_likelihood(neural.energy, plane(2 * config.bins), config.beta)
    schedule = optax.cosine_decay_schedule(5e-3, config.epochs * (config.samples // 500))
    learner = gradient(loss, optax.adam(schedule))

    def start(key):
        init_key, train_key = jax.random.split(key)
        return begin(train_key, learner, neural.init(init_key, (2, config.units, config.units)), config.epochs)

    def step(progress, key, samples):
        progress, metrics = one_epoch(key, learner, progress, samples, 500)
        return progress, metrics.learner.loss.mean()

    def tell(done, losses):
        report.metrics(epoch=done + len(losses), **dict(zip(SHAPES, losses[-1], strict=True)))
        return "losses " + ", ".join(f"{loss:.4g}" for loss in losses[-1])

    progress, epoch_keys = jax.jit(jax.vmap(start, out_axes=(0, 1)))(keys)
    progress, losses = scan_shown(report, "learning the shapes", jax.vmap(step), progress, epoch_keys, data, tell=tell)
    return jax.device_get(progress.state.params), losses[-1]


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
        "The three shapes: their densities, the densities of the networks, and draws from the networks.",
    )
    report.figure(
        "logic",
        _densities({name: outcomes[name] for name in composed}),
        "Compositions. Top: the exact density of the composed shapes. Middle: the exact density of the composed "
        "networks. Bottom: draws from it.",
    )
    report.figure(
        "path",
        _densities({name: outcomes[name] for name in ("bar", *path, "ring")}),
        "The geometric path from the bar to the ring, p ∝ p(bar)^(1-t) p(ring)^t. Unlike in a mixture, a point is "
        "likely only where both laws are not too small.",
    )
    report.figure(
        "distances",
        _distances(outcomes),
        "Total variation between the histogram of the draws and the exact density, compared with that of independent "
        "draws: mean (bar) and 99th percentile (line).",
    )
    report.table(
        f"{config.chains} draws in {config.bins} × {config.bins} bins",
        (
            "composition",
            "distance of the draws",
            "mean distance of independent draws",
            "99th percentile",
            "distance of networks from shapes",
        ),
        [
            (name, one.distance, one.floor, one.floor_99, total_variation(one.truth, one.learned))
            for name, one in outcomes.items()
        ],
    )
    area = (2 * SIDE / (FINE * config.bins)) ** 2
    entropies = [-float(np.sum(one.truth * np.log(one.truth / area))) for one in list(outcomes.values())[:3]]
    report.table(
        "The learned shapes (entropy, loss and KL in nats)",
        ("shape", "log Z of the network", "mean loss of the last epoch", "entropy of the shape", "KL(shape‖network)"),
        [
            (name, float(log), float(loss), entropy, divergence(outcomes[name]))
            for name, log, loss, entropy in zip(components, logs, losses, entropies, strict=True)
        ],
    )
    accident = 1 / (1 + np.exp(float(logs[1] - logs[0])))
    share, error = share_of_first(outcomes["bar"], outcomes["ring"], outcomes["bar or ring"].draws)
    report.text(
        "The energy of a network is known only up to a constant, so a mixture needs the partition functions. Without "
        f"them the share of the bar in **bar or ring** would be {accident:.2f}, which depends on these constants "
        f"alone. With them it is one half; its share of the draws is {share:.3f} ± {error:.3f}.\n\n"
        "An energy that is subtracted has to be bounded above. E(bar) grows without limit with the distance from the "
        "bar, so the minimum of E(ring) - E(bar) would be at the edge of the square. The energy of **bar or "
        "anything**, a mixture of nine parts of the bar and one part of the uniform law, is bounded. Subtracting it "
        "raises the energy at the bar and changes it little elsewhere."
    )
    report.summary(
        total_variation={name: round(one.distance, 3) for name, one in outcomes.items()},
        noise_floor={name: round(one.floor, 3) for name, one in outcomes.items()},
        compositions_above_the_99th_percentile=sum(one.distance > one.floor_99 for one in outcomes.values()),
        share_of_the_bar=round(share, 3),
        share_of_the_bar_not_normalized=round(float(accident), 3),
    )


def share_of_first(first: Outcome, second: Outcome, draws: np.ndarray) -> tuple[float, float]:
    """The share of the first component in draws of an even mixture, by Bayes' rule, and its standard error."""
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


def _densities(outcomes: dict[str, Outcome]) -> Figure:
    """One column for each composition: the law of the shapes, the law of the networks, and draws."""
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
    # the scale ends at 0.9 of the largest value, so that low densities can be seen
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
