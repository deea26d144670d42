"""The horn before and after training

A predictor f: 1 → 8 → 8 → 2 gives the two radii of the manifold at x, and the latent angle z is the position on it:

    E(x, y, z) = (y₁ - f₁(x) cos z)² + (y₂ - f₂(x) sin z)²

Training is at zero temperature: for every sample the best of 48 grid angles is refined by Newton steps, and training
moves that point of the manifold towards the sample. All seeds, each with its own data, initialization and batches, are
trained by one compiled program. Grid search without refinement is not accurate enough: at the mouth of the horn, where
the radius is 15, its error is 25 times the noise floor.
"""

from dataclasses import dataclass

import jax
import numpy as np

from ebmjax import problems
from ebmjax.energies import horn
from ebmjax.loops import map_chunks
from experiments.application import options
from experiments.application.options import Count
from experiments.application.report import Report
from experiments.drawing import plots
from experiments.horn.trained_horns import (
    X,
    cold,
    free_energies,
    is_dead,
    manifold,
    noise_floor,
    radii,
    radii_rmse,
    train_horns,
)


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    seeds: Count = 256
    """Number of horns, each with its own data, initialization and batches."""
    samples: Count = 400
    """Training samples of each horn."""
    held_out: Count = 2000
    """New samples on which all horns are measured."""
    batch_size: Count = 32
    """Samples in each update."""
    epochs: Count = 1667
    """Passes over the data; the default makes 20,000 updates."""
    rate: float = 1e-2
    """Adam's first learning rate; it decays to zero along a cosine."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(seeds=16, held_out=500, epochs=200)


def run(config: Config, report: Report) -> None:
    """Train all seeds at once, measure them on held-out data, and draw the median one."""
    held_out_key, seeds_key = jax.random.split(report.key())
    held_out = problems.horn_data(held_out_key, config.held_out)
    keys = jax.random.split(seeds_key, config.seeds)

    data_keys, train_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    all_data = jax.jit(jax.vmap(lambda key: problems.horn_data(key, config.samples)))(data_keys)
    params, finite = train_horns(
        report,
        f"training {config.seeds} horns",
        train_keys,
        lambda params, sample, beta: cold(params, sample),
        np.full(config.seeds, np.inf, np.float32),
        all_data,
        config.batch_size,
        config.epochs,
        config.rate,
    )

    def measure(params):
        free = free_energies(params, held_out).mean()
        return free, radii_rmse(params), is_dead(params, free)

    with report.stage("measuring"):
        free, rmse, dead = report.compiled(lambda params: map_chunks(measure, params, 8), params)
        floor = float(jax.jit(noise_floor)(held_out))
    for seed in range(config.seeds):
        report.metrics(seed=seed, held_out_free_energy=free[seed], radii_rmse=rmse[seed], dead=dead[seed])
    report.summary(
        held_out_free_energy=float(np.median(free)),
        held_out_free_energy_worst=float(np.max(free)),
        noise_floor=floor,
        radii_rmse=float(np.median(rmse)),
        dead_seeds=int(np.sum(dead)),
        non_finite_seeds=int(np.sum(~finite)),
        seeds=config.seeds,
    )
    middle = int(np.argsort(free)[config.seeds // 2])
    median = jax.tree.map(lambda leaf: leaf[middle], params)
    data = jax.tree.map(lambda leaf: np.asarray(leaf)[middle], all_data)
    untrained = horn.init(jax.random.split(train_keys[middle])[0])
    _draw_horns(report, untrained, median, data)
    _draw_radii(report, params, untrained)
    _draw_histogram(report, free, floor)


def _draw_horns(report, untrained, trained, data):
    figure, axes = plots.spatial(2)
    for panel, params, title in zip(axes, (untrained, trained), ("Untrained", "Trained"), strict=True):
        plots.horn_surface(panel, X, jax.jit(manifold)(params))
        plots.horn_points(panel, data.x, data.y)
        panel.set_title(title)
    report.figure(
        "horns", figure, f"The manifold over x and z before and after training, and its {len(data.x)} samples."
    )


def _draw_radii(report, params, untrained):
    figure, panels = plots.panels(1, 2, width=4.4, height=3.8)
    learned = np.asarray(jax.jit(jax.vmap(radii))(params))
    for axis, name in enumerate(("f₁", "f₂")):
        panel = panels[0, axis]
        panel.plot(X, learned[:, :, axis].T, color=plots.PALETTE["blue"], alpha=0.08, linewidth=1)
        panel.plot([], [], color=plots.PALETTE["blue"], label=f"{len(learned)} trained seeds")
        panel.plot(X, problems.horn_radii(X)[:, axis], "--", color=plots.PALETTE["vermillion"], label="true")
        panel.plot(X, radii(untrained)[:, axis], ":", color=plots.PALETTE["black"], label="one seed, untrained")
        plots.label(panel, "observed x", f"radius |{name}(x)| (units of y)")
        panel.legend()
    report.figure("radii", figure, "The radii after training, for every seed, and the true radii.")


def _draw_histogram(report, free, floor):
    figure, axes = plots.one()
    axes.hist(np.asarray(free), bins=30, color=plots.PALETTE["blue"], alpha=0.85)
    axes.axvline(floor, color=plots.PALETTE["vermillion"], linestyle="--", label="true horn on the same samples")
    axes.axvline(float(np.median(free)), color=plots.PALETTE["black"], label="median seed")
    plots.label(axes, "held-out mean F∞ (squared units of y)", "seeds")
    axes.legend()
    report.figure(
        "seeds", figure, "Mean held-out free energy of each seed, and that of the true horn, which is the noise floor."
    )
