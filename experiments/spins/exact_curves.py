"""Helper of `phase_diagram`: exact curves of free energy, energy, heat capacity and entropy against beta."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax import problems
from ebmjax.energies import ising
from ebmjax.marginalize.elimination import exact, factors, graphs, plans
from ebmjax.types import SPINS
from experiments.application.report import Report

STEP = 1e-3  # of differences of log Z, which are in float64


class Curves(NamedTuple):
    """Quantities per unit against beta, each a row (betas,); with standard errors or without."""

    free_energy: np.ndarray
    mean_energy: np.ndarray
    heat_capacity: np.ndarray
    entropy: np.ndarray


def finite(side: int, betas: np.ndarray) -> Curves:
    """Kaufman's finite lattice, per spin; derivatives of log Z by differences."""
    cold, here, hot = (
        np.array([problems.periodic_lattice(side, side, max(float(beta), 0.0) + by) for beta in betas])
        for by in (STEP, 0.0, -STEP)
    )
    return curves(betas, side**2, here, -(cold - hot) / (2 * STEP), (cold - 2 * here + hot) / STEP**2, math.log(2))


def curves(
    betas: np.ndarray,
    units: int,
    log_z: np.ndarray,
    energy: np.ndarray,
    variance: np.ndarray,
    log_states: float,
) -> Curves:
    """Per unit, from log Z, <E> and var E of the whole."""
    safe = np.where(betas == 0, 1, betas)
    free = np.where(betas == 0, energy / units, -(log_z / units - log_states) / safe)
    return Curves(free, energy / units, betas**2 * variance / units, (log_z + betas * energy) / units)


def infinite(betas: np.ndarray) -> Curves:
    """Onsager's lattice per spin: the energy in closed form, the rest by differences and by integration."""
    betas = np.asarray(betas, np.float64)
    fine = np.linspace(1e-6, betas.max() + STEP, 20001)
    slopes = np.array([-problems.onsager_energy(beta) for beta in fine])
    log_z = math.log(2) + np.concatenate([[0], np.cumsum((slopes[1:] + slopes[:-1]) / 2 * np.diff(fine))])
    energy = np.array([problems.onsager_energy(beta) for beta in betas])
    cold, hot = (np.array([problems.onsager_energy(beta + by) for beta in betas]) for by in (1e-5, -1e-5))
    return curves(betas, 1, np.interp(betas, fine, log_z), energy, -(cold - hot) / 2e-5, math.log(2))


def eliminated(report: Report, params: ising.Params, side: int, betas: np.ndarray) -> Curves:
    """The exact curves, by elimination; at a negative beta those of the opposite couplings."""
    machine = ising.to_boltzmann(params, (side, side))
    plan = plans.plan(graphs.from_matrix(machine.weights))
    terms = factors.machine(plan, machine, SPINS)

    def both(beta):
        log_z = lambda beta: exact.log_partition(plan, terms, beta).log_partition
        slope = lambda beta: jax.jvp(log_z, (beta,), (jnp.ones_like(beta),))
        (value, rise), (_, variance) = jax.jvp(slope, (beta,), (jnp.ones_like(beta),))
        return value, -rise, variance

    positive = jnp.asarray(np.unique(np.abs(betas).round(6)), jnp.float32)
    program = lambda betas: jax.lax.map(both, betas)
    log_zs, energies, variances = (np.asarray(part, np.float64) for part in report.compiled(program, positive))
    # every other spin can be turned, which turns the sign of all couplings of an open lattice
    at = np.searchsorted(np.asarray(positive), np.abs(betas).round(6).astype(np.float32))
    return curves(betas, side**2, log_zs[at], np.sign(betas) * energies[at], variances[at], math.log(2))
