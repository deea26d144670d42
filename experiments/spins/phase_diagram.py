"""Phase diagrams: Ising and Potts lattices and a spin glass at every temperature, against exact results

**Ising.** Chains at 64 temperatures, with swaps, in one compiled call. All their energies and magnetizations together
give free energy F, energy U, heat capacity C, entropy S, magnetization and Binder ratio with errors, beside Kaufman's
exact finite lattice and Onsager's infinite one. The curves of the Binder ratio for two sizes cross at the critical
temperature.

**Potts.** The density of states g(E) by Wang-Landau and a multicanonical run answers at every inverse temperature, also
at negative ones, where neighbours prefer different states. For q ≤ 4 the transition is continuous. For q = 10 it is of
first order: two phases coexist, and the energy has two peaks at a distance of the latent heat. A chain at one
temperature stays in one of the phases.

**Spin glass.** Couplings ±1 at random, with an open boundary, so that elimination gives the exact answer.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import problems
from ebmjax.energies import ising, potts
from ebmjax.marginalize.density_of_states import models, multicanonical, thermal
from ebmjax.marginalize.thermodynamics import PhaseDiagram, thermodynamics
from ebmjax.types import describe
from experiments.application import options
from experiments.application.options import AtLeast, Between, Count
from experiments.application.report import Report
from experiments.drawing import plots
from experiments.spins import glass_diagram
from experiments.spins.density_curves import density, of_density
from experiments.spins.exact_curves import finite, infinite
from experiments.spins.tempered_lattices import tempered

UNIFORM = ising.Params(jnp.array(1.0), jnp.array(0.0))
COLORS = ("blue", "vermillion", "green", "purple", "orange")
COLDEST = 0.8  # inverse temperature at which the Ising ladder ends, nearly twice the critical one
LARGE, AWAY = 32, 0.25  # so far from the critical beta, as a share of it, a lattice of this side is as good as infinite
ONSAGER = "C against the infinite lattice, away from the transition"
AXIS = np.linspace(0.01, COLDEST, 200)


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    sizes: Annotated[tuple[int, ...], AtLeast(4)] = (10, 32)
    """Sides of the Ising lattices, even numbers."""
    betas: Annotated[int, AtLeast(4)] = 64
    """Inverse temperatures of the chains, from 0 to 0.8."""
    draws: Annotated[int, AtLeast(40)] = 1000
    """Energies and magnetizations that each chain records."""
    thin: Count = 5
    """Sweeps between two of them."""
    states: Annotated[tuple[int, ...], AtLeast(2)] = (2, 3, 10)
    """Numbers of states q of the Potts lattices."""
    potts_side: Annotated[int, AtLeast(3)] = 16
    """Side of the Potts lattices."""
    glass_side: Annotated[int, Between(4, 20)] = 10
    """Side of the spin glass, an even number, at most 20, because elimination gives the exact answer."""
    walkers: Annotated[int, AtLeast(4)] = 64
    """Walkers of the density of states."""
    learning: Count = 3000
    """Sweeps of Wang-Landau."""
    sweeps: Count = 6000
    """Sweeps of the multicanonical run."""

    def __post_init__(self):
        options.check(self)
        options.require(not any(side % 2 for side in self.sizes), "sizes", self.sizes, "even numbers")
        options.require(self.glass_side % 2 == 0, "glass_side", self.glass_side, "an even number")


QUICK = Config(
    sizes=(10,), betas=16, draws=200, thin=2, states=(10,), potts_side=5, glass_side=6, walkers=32, learning=600,
    sweeps=600,
)  # fmt: skip


def run(config: Config, report: Report) -> None:
    """Measure the three kinds of lattices, and draw each beside what is exact."""
    ising_key, potts_key, glass_key = jax.random.split(report.key(), 3)
    lattices = {
        side: _lattice(config, report, key, side)
        for side, key in zip(config.sizes, jax.random.split(ising_key, len(config.sizes)), strict=True)
    }
    _show_ising(report, lattices)
    lattices_of_potts = {
        states: _potts(config, report, key, states)
        for states, key in zip(config.states, jax.random.split(potts_key, len(config.states)), strict=True)
    }
    _show_potts(config, report, lattices_of_potts)
    glass_diagram.show(config, report, *glass_diagram.measure(config, report, glass_key))


# ---- Ising: chains at many temperatures ------------------------------------------------------------------------------


def _lattice(config: Config, report: Report, key: Key[Array, ""], side: int) -> PhaseDiagram:
    """Tempering of one lattice over all betas; and what its draws say."""
    betas = jnp.linspace(0, COLDEST, config.betas)
    sites = side**2
    keys = tuple(jax.random.split(key, 3)[:, None])  # of one replica
    total = lambda halves: jnp.stack([half.sum(axis=(0, 2, 3)) for half in halves]).sum(axis=0)
    title = f"Ising, {side} × {side}: {config.betas} temperatures, {config.draws} draws"
    energies, magnetizations = tempered(report, title, keys, UNIFORM, betas, side, config.draws, config.thin, total)
    with report.stage(f"Ising, {side} × {side}: free energies and errors"):
        answer = partial(thermodynamics, units=sites, log_volume=sites * math.log(2))
        found = jax.tree.map(np.asarray, report.compiled(answer, betas, energies[:, 0].T, magnetizations.T))
    values = {key: getattr(found, key) for key in ("free_energy", "mean_energy", "heat_capacity", "entropy")}
    for index, beta in enumerate(found.betas):
        report.metrics(
            system="ising",
            side=side,
            beta=beta,
            **{key: value.value[index] for key, value in values.items()},
            **{f"{key}_error": value.standard_error[index] for key, value in values.items()},
            binder_ratio=found.binder_ratio.value[index],
            binder_ratio_error=found.binder_ratio.standard_error[index],
        )
    return found


def _show_ising(report: Report, lattices: dict[int, PhaseDiagram]) -> None:
    figure, axes = plots.panels(2, 3, width=4.2, height=3.3, share_x=True)
    names = ("free energy F per spin", "energy U per spin", "heat capacity C per spin", "entropy S per spin, in nats")
    limit = infinite(AXIS)
    for panel, curve in zip(axes.flat, limit, strict=False):
        panel.plot(AXIS, curve, color=plots.PALETTE["black"], linewidth=1.0, linestyle="--", label="infinite, exact")
    rows = []
    for (side, found), name in zip(lattices.items(), COLORS, strict=False):
        color = plots.PALETTE[name]
        betas = np.asarray(found.betas)
        for panel, curve in zip(axes.flat, finite(side, AXIS), strict=False):
            panel.plot(AXIS, curve, color=color, linewidth=1.0, label=f"{side} × {side}, exact")
        quantities = (found.free_energy, found.mean_energy, found.heat_capacity, found.entropy)
        more = (found.magnetization, found.binder_ratio)
        for panel, quantity in zip(axes.flat, (*quantities, *more), strict=True):
            panel.errorbar(
                betas, quantity.value, quantity.standard_error, fmt=".", markersize=4, color=color, elinewidth=1,
                label=f"{side} × {side}, measured",
            )  # fmt: skip
        inside = betas > 0
        truth = finite(side, betas[inside])
        scores = [
            (quantity.value[inside] - exact) / quantity.standard_error[inside]
            for quantity, exact in zip(quantities, truth, strict=True)
        ]
        rows += [
            (f"{side} × {side}", each, f"{np.sqrt(np.mean(score**2)):.2f}", f"{np.abs(score).max():.1f}")
            for each, score in zip("FUCS", scores, strict=True)
        ]
        if side >= LARGE:
            away = inside & (np.abs(betas / ising.CRITICAL_BETA - 1) > AWAY)
            capacity = found.heat_capacity
            score = (capacity.value[away] - infinite(betas[away]).heat_capacity) / capacity.standard_error[away]
            rows.append(
                (f"{side} × {side}", ONSAGER, f"{np.sqrt(np.mean(score**2)):.2f}", f"{np.abs(score).max():.1f}")
            )
            report.summary(**{f"ising_{side}_rms_z_of_C_against_onsager": float(np.sqrt(np.mean(score**2)))})
        report.summary(
            **{
                f"ising_{side}_rms_z_of_{each}": float(np.sqrt(np.mean(score**2)))
                for each, score in zip("FUCS", scores, strict=True)
            }
        )
    axes[1, 1].plot(AXIS, [problems.onsager_magnetization(beta) for beta in AXIS], "--", color="black", linewidth=1.0)
    axes[0, 1].set_ylim(top=0.05)
    axes[0, 2].set_ylim(0, 1.15 * max(found.heat_capacity.value.max() for found in lattices.values()))
    for panel, title in zip(axes.flat, (*names, "magnetization ⟨|m|⟩", "Binder ratio"), strict=True):
        panel.axvline(ising.CRITICAL_BETA, color="#777777", linestyle=":", linewidth=1.2)
        plots.label(panel, "inverse temperature β" if panel in axes[1] else "", title)
    axes[0, 0].legend(fontsize="small")
    report.figure(
        "ising",
        figure,
        "The Ising model on square lattices: measured at every temperature, with standard errors (mostly smaller than "
        "the dots), beside the exact finite and infinite lattices. The dotted line is the critical point of the "
        "infinite lattice, where the curves of the Binder ratio cross.",
    )
    report.table(
        "Measured less exact, in standard errors: root mean square and maximum over the temperatures; 1 is expected",
        ("lattice", "quantity", "root mean square", "maximum"),
        rows,
    )


# ---- Potts: the density of states ------------------------------------------------------------------------------------


class Transition(NamedTuple):
    """Where the variance of the energy is largest, and the law of the energy there."""

    beta: float
    law: Float[np.ndarray, " levels"]
    peaks: tuple[float, float] | None
    """Energies per site of the two phases; None where there is one peak."""
    dip: float
    """The least probability between two peaks, relative to the lower peak; 1 where there is one peak."""


class Potts(NamedTuple):
    """A Potts lattice."""

    density: multicanonical.Density
    transition: Transition
    gap: float
    """The distance of the two peaks; 0 where there is one."""
    betas: Float[np.ndarray, " near"]
    """Inverse temperatures around the transition, and the Binder ratio there."""
    binder: thermal.Measured


def _potts(config: Config, report: Report, key: Key[Array, ""], states: int) -> Potts:
    side = config.potts_side
    params = potts.Params(jnp.array(1.0), jnp.zeros(states))
    model = models.potts(params, potts.lattice(side, side), side**2)
    levels = np.arange(-2.0 * side**2, 1.0, dtype=np.float32)
    powers = lambda state: potts.order_parameter(state, states) ** jnp.array([2.0, 4.0])
    found = density(config, report, key, model, levels, f"Potts, q = {states}, {side} × {side}", powers)
    start = potts.critical_beta(states)
    transition = _transition(found, side**2, start)
    near = start * np.unique(np.concatenate([np.linspace(0.6, 1.3, 15), np.linspace(0.92, 1.08, 33)]).round(6))
    binder_at = jax.vmap(lambda beta: thermal.mean_of(found, beta, _binder_of_means))
    binder = jax.tree.map(np.asarray, binder_at(jnp.asarray(near)))
    for beta, value, error in zip(near, *binder, strict=True):
        report.metrics(system="potts", states=states, beta=beta, binder_ratio=value, binder_ratio_error=error)
    gap = transition.peaks[1] - transition.peaks[0] if transition.peaks else 0.0
    report.metrics(system="potts", states=states, beta=transition.beta, gap=gap, dip=transition.dip)
    return Potts(found, transition, gap, near, binder)


def _binder_of_means(means):
    """1 - <m⁴> / (3 <m²>²)."""
    return 1 - means[1] / (3 * means[0] ** 2)


def _transition(density: multicanonical.Density, units: int, start: float) -> Transition:
    betas = jnp.linspace(0.85 * start, 1.15 * start, 601)
    axis = jax.vmap(lambda beta: thermal.at(density, beta))(betas)
    beta = betas[jnp.argmax(axis.heat_capacity / betas**2)]
    law = np.asarray(thermal.energy_law(density, beta))
    levels = np.asarray(density.levels) / units
    # smooth over a few levels, so that noise makes no peaks
    width = max(1, round(0.03 * units))
    smooth = np.convolve(law, np.ones(2 * width + 1) / (2 * width + 1), mode="same")
    mean = law @ levels
    low, high = levels < mean, levels >= mean
    left, right = (np.argmax(np.where(side, smooth, -1)) for side in (low, high))
    valley = smooth[left : right + 1].min()
    dip = float(valley / min(smooth[left], smooth[right]))
    two = dip < 0.9 and right - left > 4 * width
    return Transition(float(beta), law, (float(levels[left]), float(levels[right])) if two else None, dip if two else 1)


def _show_potts(config: Config, report: Report, lattices: dict[int, Potts]) -> None:
    figure, axes = plots.panels(2, 2, width=5.0, height=3.8)
    units = config.potts_side**2
    betas = np.linspace(-2, 3, 251)
    rows = []
    for (states, (found_density, found, gap, near, binder)), name in zip(lattices.items(), COLORS, strict=False):
        color, start = plots.PALETTE[name], potts.critical_beta(states)
        curves = of_density(found_density, betas, units, math.log(states))
        entropy = np.asarray(found_density.log_density) / units
        levels = np.asarray(found_density.levels) / units
        seen = np.isfinite(entropy)
        axes[0, 0].plot(levels[seen], entropy[seen], color=color, label=f"q = {states}")
        axes[0, 1].plot(betas, curves.values.mean_energy, color=color, label=f"q = {states}")
        low, high = (curves.values.mean_energy + by * curves.errors.mean_energy for by in (-2, 2))
        axes[0, 1].fill_between(betas, low, high, color=color, alpha=0.25, linewidth=0)
        axes[0, 1].axvline(start, color=color, linestyle=":", linewidth=1.0)
        density_of_energy = found.law[seen] / np.gradient(levels[seen])  # some lattices do not have every level
        axes[1, 0].plot(levels[seen], density_of_energy, color=color, label=f"q = {states}, β = {found.beta:.3f}")
        axes[1, 1].errorbar(
            near / start, binder.value, binder.standard_error, fmt=".-", markersize=4, linewidth=1, elinewidth=1,
            color=color, label=f"q = {states}",
        )  # fmt: skip
        latent = problems.latent_heat(states)
        rows.append(
            (
                states,
                f"{found.beta:.4f}",
                f"{start:.4f}",
                f"{gap:.3f}" if found.peaks else "one peak",
                f"{latent:.3f}" if latent else "0, continuous",
                f"{found.dip:.3f}" if found.peaks else "-",
                describe(int(found_density.result)),
            )
        )
        report.summary(**{f"potts_{states}_transition_beta": found.beta, f"potts_{states}_distance_of_peaks": gap})
    plots.label(axes[0, 0], "energy E per site", "log g(E) per site")
    plots.label(axes[0, 1], "inverse temperature β", "mean energy per site")
    plots.label(axes[1, 0], "energy per site", "probability density")
    plots.label(axes[1, 1], "β / β of the transition", "Binder ratio")
    for panel in axes.flat:
        panel.locator_params(axis="x", nbins=5)
        panel.legend()
    report.figure(
        "potts",
        figure,
        f"Potts lattices of {config.potts_side} × {config.potts_side}, each from one density of states. Above: the "
        "number of states at each energy; the mean energy at every inverse temperature, also at negative ones, with "
        "bands of two standard errors, and, dotted, the transition of the infinite lattice. Below: the law of the "
        "energy where its variance is largest, with two peaks at a transition of first order and one at a continuous "
        "one; the Binder ratio of the order parameter, which is 2/3 in one phase, and has a dip where two phases "
        "coexist.",
    )
    report.table(
        "The transition: where the variance of the energy is largest, and the distance of the two peaks of its law "
        "beside the latent heat of the infinite lattice",
        ("q", "β", "β, infinite", "distance", "latent heat, infinite", "dip between the peaks", "density of states"),
        rows,
    )
