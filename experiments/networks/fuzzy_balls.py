"""Fuzzy balls on springs: the codes of a variational autoencoder under weak and strong regularization

The encoder maps every picture to a **fuzzy ball**, a normal law of its code with mean μ and standard deviation σ, and
the decoder gets one draw from it. The decoder cannot separate balls that overlap. Without regularization the balls
therefore move apart and shrink until there is no noise. Two terms prevent this: a **spring**, ½ μ², pulls every ball to
the origin, and a **size control**, ½ (σ² - 1 - log σ²), keeps σ near 1.

Here one autoencoder with a code of two dimensions is trained with several weights of the two terms, by one compiled
program from the same start. The **evidence bound** has weight 1 for both. Scaling all codes, which the decoder can
undo, gives an equation for the end of each training: <pull · μ² + size · σ²> = size in every dimension.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.patches import Circle, Patch
from numpy.typing import ArrayLike

from ebmjax.energies import variational_autoencoder as vae
from ebmjax.gaussian import Gaussian, reparameterize
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.learn.train import begin
from ebmjax.losses.evidence_bound import evidence_bound
from ebmjax.types import Scalar
from experiments.application import options
from experiments.application.options import AtLeast, Count, NotNegative, Positive
from experiments.application.report import Report
from experiments.application.shown import one_epoch, scan_shown
from experiments.data.images import Images, Pictures, load
from experiments.drawing import plots
from experiments.drawing.mosaics import flat
from experiments.networks.autoencoders import misfit

COLUMNS = 5  # epochs of each training that are drawn


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    pulls: tuple[NotNegative, ...] = (0.0, 1.0, 0.0, 0.05, 1.0, 30.0)
    """Weights of the spring, one for each training."""
    sizes: tuple[NotNegative, ...] = (0.0, 0.0, 1.0, 1.0, 1.0, 30.0)
    """Weights of the size control, one for each training."""
    images: Pictures = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist, fashion-mnist, or a folder of PNG or JPEG files. A grey value is
    learned as the mean of a pixel."""
    pictures: Count = 2000
    """Number of training pictures; all of them if there are fewer."""
    shown: Annotated[int, AtLeast(2)] = 150
    """Held-out pictures whose balls are measured and drawn."""
    hidden: tuple[Count, ...] = (64,)
    """Units of the hidden layers of the encoder and of the decoder."""
    epochs: Annotated[int, AtLeast(COLUMNS)] = 1000
    """Passes over the pictures."""
    batch_size: Count = 100
    """Pictures in an update."""
    rate: Positive = 2e-3
    """First learning rate of Adam. It falls to zero along a cosine."""

    def __post_init__(self):
        options.check(self)
        each = len(self.pulls) == len(self.sizes) > 0
        options.require(each, "sizes", self.sizes, f"one or more, as many as --pulls {self.pulls}")
        options.require(len(self.hidden) > 0, "hidden", self.hidden, "at least one number")


QUICK = Config(pictures=500, hidden=(32,), epochs=60, batch_size=50, rate=5e-3)


class Balls(NamedTuple):
    """The balls of the held-out pictures, and their measures; leading axes (trainings, epochs + 1)."""

    mean: Float[Array, "*when shown 2"]
    """μ."""
    deviation: Float[Array, "*when shown 2"]
    """σ."""
    radius: Float[Array, "*when"]
    """Root mean square of |μ|."""
    sigma: Float[Array, "*when"]
    """Geometric mean of σ."""
    separation: Float[Array, "*when"]
    """Mean distance of two centres, in units of σ."""
    overlap: Float[Array, "*when"]
    """Mean overlap of two balls, from 0 to 1."""
    cost: Float[Array, "*when"]
    """Mean of -log p(y|z) in nats per picture, with z drawn from the ball."""


def run(config: Config, report: Report) -> None:
    """Train with all pairs of weights at once, measure the balls, and draw them."""
    split = load(config.images)
    data = jnp.asarray(flat(split.train)[: config.pictures])
    fits = config.batch_size <= len(data)
    options.require(fits, "batch_size", config.batch_size, f"at most {len(data)}, the number of pictures")
    shown = jnp.asarray(flat(split.test)[: config.shown])
    labels = None if split.test_labels is None else split.test_labels[: config.shown]
    balls, second_moments = watch(config, report, data, shown)
    report.summary(
        **{name: getattr(balls, name)[:, -1] for name in ("radius", "sigma", "separation", "overlap", "cost")}
    )
    _draw_balls(config, report, balls, labels)
    _draw_curves(config, report, balls)
    _tell(config, report, balls, second_moments)


def watch(
    config: Config, report: Report, data: Float[Array, "n pixels"], shown: Float[Array, "shown pixels"]
) -> tuple[Balls, tuple[Float[np.ndarray, "trainings 2"], Float[np.ndarray, "trainings 2"]]]:
    """Train with all pairs of weights at once, from the same start.

    Returns:
        the balls before the first epoch and after every epoch, and <μ²> and <σ²> over the data at the end.
    """
    init_key, train_key, draw_key = jax.random.split(report.key(), 3)
    noise = jax.random.normal(draw_key, (len(shown), 2))
    weights = jnp.array(config.pulls), jnp.array(config.sizes)
    updates = config.epochs * (len(data) // config.batch_size)
    optimizer = optax.adam(optax.cosine_decay_schedule(config.rate, updates))
    learner = lambda pull, size: stochastic_gradient(evidence_bound(misfit, vae.encode, pull, size), optimizer)
    encode_all = jax.vmap(vae.encode, in_axes=(None, 0))

    def look(params, shown, noise):
        codes = encode_all(params, shown)
        costs = jax.vmap(misfit, in_axes=(None, 0, 0))(params, shown, reparameterize(codes, noise))
        return measured(codes, jnp.asarray(costs).mean())

    def start(pull, size, shown, noise):
        params = vae.init(init_key, shown.shape[1], config.hidden, 2)
        return *begin(train_key, learner(pull, size), params, config.epochs), look(params, shown, noise)

    def step(progress, key, weights, data, shown, noise):
        progress, _ = one_epoch(key, learner(*weights), progress, data, config.batch_size)
        return progress, look(progress.state.params, shown, noise)

    def second_moments(params, data):
        codes = encode_all(params, data)
        return (codes.mean**2).mean(axis=0), jnp.exp(codes.log_variance).mean(axis=0)

    told = set(np.geomspace(1, config.epochs, 30).astype(int).tolist())

    def tell(done, balls):
        for row, after in enumerate(range(done + 1, done + 1 + len(balls.cost))):
            if after in told:
                names = ("radius", "sigma", "overlap", "cost")
                report.metrics(step=after, **{name: getattr(balls, name)[row] for name in names})
        return "-log p(y|z) " + ", ".join(f"{cost:.3g}" for cost in balls.cost[-1])

    starts = jax.vmap(start, (0, 0, None, None), (0, 1, 0))
    progress, keys, first = jax.jit(starts)(*weights, shown, noise)
    title = f"training {len(config.pulls)} autoencoders, {config.epochs} epochs"
    steps = jax.vmap(step, (0, 0, 0, None, None, None))
    progress, after = scan_shown(report, title, steps, progress, keys, weights, data, shown, noise, tell=tell)
    join = lambda start, rest: np.concatenate([np.asarray(start)[:, None], rest.swapaxes(0, 1)], axis=1)
    ends = jax.jit(jax.vmap(second_moments, (0, None)))(progress.state.params, data)
    return jax.tree.map(join, first, after), jax.device_get(ends)


def measured(codes: Gaussian, cost: Scalar) -> Balls:
    """Some balls and their measures.

    >>> two = Gaussian(jnp.array([[3.0, 0.0], [-3.0, 0.0]]), jnp.zeros((2, 2)))
    >>> balls = measured(two, 0.0)
    >>> [round(float(value), 3) for value in (balls.radius, balls.sigma, balls.separation, balls.overlap)]
    [3.0, 1.0, 6.0, 0.011]
    """
    distances, overlaps = pairs(codes)
    return Balls(
        codes.mean,
        jnp.exp(codes.log_variance / 2),
        jnp.sqrt((codes.mean**2).sum(axis=1).mean()),
        jnp.exp(codes.log_variance.mean() / 2),
        distances.mean(),
        overlaps.mean(),
        jnp.asarray(cost),
    )


def pairs(codes: Gaussian) -> tuple[Float[Array, " pairs"], Float[Array, " pairs"]]:
    """The distance of the centres in units of σ, and the overlap, of every pair of balls p and q.

        distance² = Σ (μ - μ')² / σ̄²,   σ̄² = (σ² + σ'²)/2        overlap = ∫ √(p q) = Π √(σσ'/σ̄²) · exp(-distance²/8)

    The overlap is Bhattacharyya's (1943) coefficient: 1 for equal balls, near 0 for balls that are far apart.

    >>> distances, overlaps = pairs(Gaussian(jnp.array([[0.0], [2.0]]), jnp.zeros((2, 1))))
    >>> distances.tolist(), round(float(overlaps[0]), 4)  # exp(-1/2)
    ([2.0], 0.6065)
    """
    one, other = np.triu_indices(len(codes.mean), 1)
    variance = jnp.exp(codes.log_variance)
    shared = (variance[one] + variance[other]) / 2
    squares = ((codes.mean[one] - codes.mean[other]) ** 2 / shared).sum(axis=1)
    half_logs = (codes.log_variance[one] + codes.log_variance[other]) / 4 - jnp.log(shared) / 2
    return jnp.sqrt(squares), jnp.exp(half_logs.sum(axis=1) - squares / 8)


def moments(epochs: int, count: int) -> list[int]:
    """`count` epochs from 0 to the last, evenly spaced in the logarithm.

    >>> moments(1000, 5)
    [0, 1, 10, 100, 1000]
    """
    return [0, *np.rint(np.geomspace(1, epochs, count - 1)).astype(int).tolist()]


def _named(config: Config) -> list[str]:
    return [f"spring {pull:g}, size {size:g}" for pull, size in zip(config.pulls, config.sizes, strict=True)]


def _kind(pull: float, size: float) -> str:
    if pull == size == 1:
        return "evidence bound"
    if pull and size:
        return "both terms"
    return "spring only" if pull else "size control only" if size else "no regularization"


def _draw_balls(config: Config, report: Report, balls: Balls, labels: np.ndarray | None) -> None:
    epochs = moments(config.epochs, COLUMNS)
    names = _named(config)
    palette = colormaps["tab10"](np.arange(10))
    colors = palette[labels] if labels is not None else np.tile(palette[:1], (balls.mean.shape[2], 1))
    figure, axes = plots.panels(len(names), COLUMNS, width=2.3, height=2.35)
    for row, name in enumerate(names):
        for panel, epoch in zip(axes[row], epochs, strict=True):
            _ball_panel(panel, balls.mean[row, epoch], balls.deviation[row, epoch], colors)
            if row == 0:
                panel.set_title("untrained" if epoch == 0 else f"epoch {epoch}")
        axes[row, 0].set_ylabel(f"{_kind(config.pulls[row], config.sizes[row])}\n{name}")
    if labels is not None:
        marks = [Patch(color=tuple(palette[label]), alpha=0.6, label=str(label)) for label in np.unique(labels)]
        figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), title="class")
    report.figure(
        "balls",
        figure,
        f"{len(balls.mean[0, 0])} held-out pictures, each drawn as a ball of radius σ around its mean μ, which is "
        "marked by a dot. Each panel has a scale of its own: the number in the corner is half its width, and the "
        "dashed circle has radius 1, the size of the prior. Without regularization the balls move apart and shrink; "
        "they may also drift away from the origin together, since only the spring depends on the origin. With a spring "
        "only, the centres stay near the origin and the balls shrink faster. With size control only, σ stays near 1 "
        "and the centres move apart. With both, the balls share the space near the origin, and overlap where pictures "
        "are similar. Where both are too strong, all balls are equal and the code has no information.",
    )


def _ball_panel(axes: Axes, mean: ArrayLike, deviation: ArrayLike, colors: np.ndarray) -> None:
    mean, deviation = np.asarray(mean), np.asarray(deviation)
    # a few outliers may lie outside
    reach = float(np.quantile(np.abs(mean) + deviation, 0.99)) * 1.12
    axes.add_collection(
        EllipseCollection(
            2 * deviation[:, 0],
            2 * deviation[:, 1],
            np.zeros(len(mean)),
            units="xy",
            offsets=mean,
            offset_transform=axes.transData,
            facecolors=np.concatenate([colors[:, :3], np.full((len(mean), 1), 0.2)], axis=1),
            edgecolors=colors,
            linewidths=0.5,
        )
    )
    axes.scatter(*mean.T, s=4, c=colors, edgecolors="black", linewidths=0.25)
    axes.add_patch(Circle((0, 0), 1, fill=False, linestyle="--", linewidth=0.9, color="#555555"))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        0.97, 0.03, f"±{reach:.2g}", transform=axes.transAxes, ha="right", va="bottom", fontsize=8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1},
    )  # fmt: skip


def _draw_curves(config: Config, report: Report, balls: Balls) -> None:
    epochs = np.arange(1, config.epochs + 1)
    figure, axes = plots.panels(2, 2, width=4.8, height=3.5, share_x=True)
    drawn = (
        ("radius: root mean square of |μ|", balls.radius),
        ("σ, geometric mean", balls.sigma),
        ("mean distance of two centres, in σ", balls.separation),
        ("reconstruction: -log p(y|z), nats", balls.cost),
    )
    for panel, (name, values) in zip(axes.ravel(), drawn, strict=True):
        for row, label in enumerate(_named(config)):
            panel.plot(epochs, values[row, 1:], label=label)
        panel.set_xscale("log")
        if name != drawn[-1][0]:
            panel.set_yscale("log")
        plots.label(panel, "", name)
    for panel in axes[1]:
        panel.set_xlabel("epoch")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    report.figure(
        "curves",
        figure,
        "Measures of the same balls. The decoder can separate two balls if their distance in units of σ is large. It "
        "grows if the centres move apart, or if the noise shrinks. A spring alone prevents only the first, size "
        "control alone only the second. Both together limit the information in a code.",
    )


def _tell(config: Config, report: Report, balls: Balls, second_moments: tuple[np.ndarray, np.ndarray]) -> None:
    squares, variances = second_moments
    rows = []
    for row, (pull, size) in enumerate(zip(config.pulls, config.sizes, strict=True)):
        total = pull * squares[row] + size * variances[row]
        rows.append(
            (
                _named(config)[row],
                float(balls.radius[row, -1]),
                float(balls.sigma[row, -1]),
                float(balls.separation[row, -1]),
                float(balls.overlap[row, -1]),
                float(balls.cost[row, -1]),
                " and ".join(f"{value:.3g}" for value in total),
                f"{size:g}",
            )
        )
    titles = (
        "weights",
        "radius",
        "σ",
        "distance in σ",
        "overlap",
        "-log p(y|z), nats",
        "<pull·μ² + size·σ²> in both dimensions",
        "its value at the end of training",
    )
    report.table("After training", titles, rows)
    report.text(
        "**The end of training.** Multiply all codes of one dimension, centres and noise, by s. The decoder can divide "
        "by s, so only the two terms change: `pull · s²<μ²>/2 + size · (s²<σ²> - 2 log s)/2`. At a minimum of the loss "
        "the derivative at s = 1 is zero: `<pull · μ² + size · σ²> = size` over the training set, in each of the two "
        "dimensions. With weights of 1 the mean of μ² + σ² is therefore 1, the variance of the prior. With size "
        "control only, σ ends near 1 and nothing limits the centres. With a spring only, the equation holds only if "
        "all codes are zero: the loss has no minimum, and everything shrinks, σ fastest.\n\n"
        "Suppose all balls have the same size σ, and the root mean square of μ is ρσ. Then the two terms together are "
        "`½ size · log(1 + pull · ρ²/size)` in each dimension. This is the cost of information. It goes to zero with "
        "either weight, and then the code keeps all information that it can."
    )
