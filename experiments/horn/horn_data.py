"""The horn's training set

The samples (x, y) lie near an ellipse whose semi-axes grow with the observed x:

    y = ρ(x) · [cos θ, sin θ] + ε,    ρ(x) = [αx + β(1-x), βx + α(1-x)] · exp(2x),    α = 1.5, β = 2

with x ~ U(0, 1), θ ~ U(0, 2π), and independent noise ε ~ N(0, 1/20²) in both components. The angle θ is not observed:
the models of the other experiments have it as their latent variable. At x = 1 the semi-axes are 11.1 and 14.8, about
three hundred times the standard deviation of the noise, which is the same at every x.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from ebmjax import problems
from experiments.application import options
from experiments.application.options import Count
from experiments.application.report import Report
from experiments.drawing import plots
from experiments.horn.trained_horns import X, noise_floor


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    samples: Count = 400
    """Samples (x, y)."""

    def __post_init__(self):
        options.check(self)


QUICK = Config()


def run(config: Config, report: Report) -> None:
    """Draw the samples in space and in slices, and measure their noise."""
    data = problems.horn_data(report.key(), config.samples)
    floor = report.compiled(noise_floor, data)
    report.summary(
        samples=config.samples,
        noise_floor=float(floor),
        radii_at_0=problems.horn_radii(jnp.array(0.0)),
        radii_at_1=problems.horn_radii(jnp.array(1.0)),
    )
    angles = jnp.linspace(0, 2 * jnp.pi, 49)
    circle = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1)
    surface = problems.horn_radii(X)[:, None] * circle[None]

    figure, axes = plots.spatial()
    plots.horn_surface(axes[0], X, surface, color=plots.PALETTE["orange"])
    plots.horn_points(axes[0], data.x, data.y)
    report.figure("samples", figure, f"{config.samples} samples, and the true horn around which they are scattered.")

    figure, panels = plots.panels(1, 4, width=3.2, height=3.4)
    for panel, x in zip(panels[0], (0.0, 1 / 3, 2 / 3, 1.0), strict=True):
        near = np.abs(np.asarray(data.x) - x) < 0.03
        plots.curve(panel, problems.horn_radii(jnp.array(x)) * circle, plots.PALETTE["orange"], label="true slice")
        plots.scatter(panel, data.y[near], label="samples within 0.03")
        plots.label(panel, "y₁", "y₂", f"x = {x:.2f}")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    report.figure(
        "slices",
        figure,
        "Slices of the horn; each panel has its own scale. Samples off the curve have a slightly different x.",
    )

    figure, axes = plots.one()
    plots.lines(axes, X, problems.horn_radii(X).T, ["ρ₁, along y₁", "ρ₂, along y₂"])
    plots.label(axes, "observed x", "true semi-axis (units of y)")
    report.figure("radii", figure, "The two functions that a predictor has to learn; they cross at x = 1/2.")
    report.text(
        f"The mean squared distance of these samples from the true horn is {float(floor):.5f}. It is due to the noise "
        "along the normal of the surface, whose mean square is 1/400. No model is expected to have a smaller mean free "
        "energy on new samples."
    )
