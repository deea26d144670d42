"""Helper of `phase_diagram`: a spin glass, whose order shows in the overlap of two replicas, not in a magnetization.

    q = 1/N Σ_i s_i s'_i,    s and s' two independent states at the same temperature

Energy, free energy and entropy are from the density of states, and exact by elimination. The overlap is that of two
tempering runs; the law of a pair of replicas is that of one system of energy E(s) + E(s').
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.energies import ising
from ebmjax.marginalize.density_of_states import models
from ebmjax.marginalize.thermodynamics import PhaseDiagram, thermodynamics
from experiments.application.report import Report
from experiments.drawing import plots
from experiments.spins.density_curves import Diagram, density, of_density
from experiments.spins.exact_curves import eliminated
from experiments.spins.tempered_lattices import tempered

COLDEST = 2.0


def measure(config: Any, report: Report, key: jax.Array) -> tuple[Diagram, PhaseDiagram]:
    """The curves of one system beside the exact ones, and those of a pair of replicas."""
    side = config.glass_side
    bond_key, run_key, pair_key = jax.random.split(key, 3)
    params = glass(bond_key, side)
    bonds = 2 * side * (side - 1)
    levels = np.arange(-bonds, bonds + 1, 2, dtype=np.float32)
    model = models.ising(params, (side, side))
    found = density(config, report, run_key, model, levels, f"spin glass, {side} × {side}")
    betas = np.linspace(-COLDEST, COLDEST, 81)
    curves = of_density(found, betas, side**2, math.log(2))
    with report.stage(f"spin glass, {side} × {side}: elimination"):
        curves = curves._replace(truth=eliminated(report, params, side, betas))
    ladder = jnp.linspace(0, COLDEST, config.betas)
    title = f"spin glass, {side} × {side}: {config.betas} temperatures, two replicas"
    energies, overlaps = pairs(report, title, pair_key, params, ladder, side, config.draws, config.thin)
    with report.stage(f"spin glass, {side} × {side}: overlaps and errors"):
        answer = partial(thermodynamics, units=side**2, log_volume=2 * side**2 * math.log(2))
        return curves, jax.tree.map(np.asarray, report.compiled(answer, ladder, energies, overlaps))


def glass(key: jax.Array, side: int) -> ising.Params:
    """Couplings ±1 at random, without bonds across the boundary."""
    coupling = np.array(jax.random.rademacher(key, (2, side, side), jnp.float32))
    coupling[0, -1], coupling[1, :, -1] = 0, 0
    return ising.Params(jnp.asarray(coupling), jnp.array(0.0))


def pairs(
    report: Report,
    title: str,
    key: jax.Array,
    params: ising.Params,
    betas: jax.Array,
    side: int,
    draws: int,
    thin: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Energies E(s) + E(s') and overlaps Σ s s' of two tempering runs, (betas, draws) each."""

    def overlap(halves):
        return jnp.stack([jnp.prod(half, axis=0).sum(axis=(1, 2)) for half in halves]).sum(axis=0)

    keys = jax.random.split(key)
    start, warm, run = (jax.vmap(lambda key, part=part: jax.random.split(key, 3)[part])(keys) for part in range(3))
    energies, overlaps = tempered(report, title, (start, warm, run), params, betas, side, draws, thin, overlap)
    return energies.sum(axis=1).T, overlaps.T


def show(config: Any, report: Report, found: Diagram, pair: PhaseDiagram) -> None:
    """Draw all curves, and say how far they are from the exact ones."""
    figure, axes = plots.panels(2, 3, width=4.2, height=3.3)
    names = ("free energy F per spin", "energy U per spin", "heat capacity C per spin", "entropy S per spin, in nats")
    rows = []
    assert found.truth is not None
    for panel, letter, name, value, error, truth in zip(
        axes[:, :2].flat, "FUCS", names, found.values, found.errors, found.truth, strict=True
    ):
        panel.plot(found.betas, truth, color=plots.PALETTE["black"], linewidth=1.0, label="elimination, exact")
        panel.errorbar(
            found.betas, value, error, fmt=".", markersize=4, elinewidth=1, color=plots.PALETTE["blue"],
            label="density of states",
        )  # fmt: skip
        plots.label(panel, "inverse temperature β" if panel in axes[1] else "", name)
        known = error > 1e-6
        scores = (value[known] - truth[known]) / error[known]
        rows.append((name, f"{np.sqrt(np.mean(scores**2)):.2f}", f"{np.abs(value - truth).max():.1e}"))
        report.summary(**{f"glass_rms_z_of_{letter}": float(np.sqrt(np.mean(scores**2)))})
    axes[0, 0].legend()
    overlap, binder = pair.magnetization, pair.binder_ratio
    for panel, name, curve in ((axes[0, 2], "overlap ⟨|q|⟩", overlap), (axes[1, 2], "Binder ratio of q", binder)):
        panel.errorbar(
            pair.betas, curve.value, curve.standard_error, fmt=".", markersize=4, elinewidth=1,
            color=plots.PALETTE["green"],
        )  # fmt: skip
        plots.label(panel, "inverse temperature β" if panel is axes[1, 2] else "", name)
    for index, beta in enumerate(pair.betas):
        report.metrics(
            system="glass_pair",
            beta=beta,
            overlap=overlap.value[index],
            overlap_error=overlap.standard_error[index],
            binder_ratio=binder.value[index],
            binder_ratio_error=binder.standard_error[index],
        )
    report.figure(
        "glass",
        figure,
        f"A spin glass of {config.glass_side} × {config.glass_side} spins with couplings ±1 and an open boundary, at "
        "inverse temperatures of both signs, from one density of states, beside the exact curves. Right: the overlap q "
        "of two replicas, from tempering. Its Binder ratio is 0 for a normal law, and larger where few states count.",
    )
    report.table(
        "Measured less exact: root mean square in standard errors, and the largest deviation",
        ("quantity", "in standard errors", "largest deviation"),
        rows,
    )
    for index, beta in enumerate(found.betas):
        report.metrics(
            system="glass",
            beta=beta,
            **{key: value[index] for key, value in found.values._asdict().items()},
            **{f"{key}_error": value[index] for key, value in found.errors._asdict().items()},
        )
