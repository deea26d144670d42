"""pymbar's side of the group `free_energy`."""

import contextlib
import io

import jax
import numpy as np

with contextlib.redirect_stdout(io.StringIO()):
    _double = jax.config.jax_enable_x64
    from pymbar import MBAR

    jax.config.update("jax_enable_x64", _double)  # pymbar sets it for the whole process


def log_partitions(betas: np.ndarray, energies: np.ndarray, protocol: str, start: str) -> tuple[np.ndarray, np.ndarray]:
    """log Z relative to the first state and its standard error.

    Solver protocols are "default" and "robust", starts "zeros" and "BAR".
    pymbar computes in double precision alone.
    """
    states, draws = energies.shape
    reduced = betas[:, None] * energies.reshape(1, -1)
    with jax.enable_x64(True):
        solved = MBAR(reduced, np.full(states, draws), solver_protocol=protocol, initialize=start)
        table = solved.compute_free_energy_differences()
    return -table["Delta_f"][0], table["dDelta_f"][0]
