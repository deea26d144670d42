"""Writes `pymbar_answers.json`: what pymbar says about two sets of harmonic oscillators, with the draws themselves.

    python tests/marginalize/reweighting/pymbar_answers.py

It needs pymbar (the extra `benchmarks`), which the tests then do without.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np


def answers():
    """The draws, and pymbar's free energies, errors of all differences, and a mean at a state without draws."""
    from pymbar import MBAR

    rng = np.random.default_rng(20)
    betas, counts = np.array([1.0, 1.6, 2.4, 3.6]), np.array([40, 60, 50, 30])
    energies = [rng.gamma(2.0, 1 / beta, count).round(6) for beta, count in zip(betas, counts, strict=True)]
    row = np.concatenate(energies)
    ladder = MBAR(betas[:, None] * row[None], counts, solver_protocol="robust")
    mean = ladder.compute_expectations(row, u_kn=(2.0 * row)[None])
    # oscillators of other centres and stiffnesses
    centres, stiffness = np.array([0.0, 0.8, 1.5]), np.array([1.0, 2.0, 1.5])
    x = [rng.normal(c, 1 / np.sqrt(k), 60).round(6) for c, k in zip(centres, stiffness, strict=True)]
    reduced = stiffness[:, None] / 2 * (np.concatenate(x)[None] - centres[:, None]) ** 2
    states = MBAR(reduced, np.full(3, 60), solver_protocol="robust")
    return {
        "pymbar": version("pymbar"),
        "ladder": {
            "betas": betas.tolist(),
            "energies": [values.tolist() for values in energies],
            **differences(ladder),
            "beta": 2.0,
            "mean_energy": float(mean["mu"][0]),
            "mean_energy_error": float(mean["sigma"][0]),
        },
        "states": {
            "centres": centres.tolist(),
            "stiffness": stiffness.tolist(),
            "x": [values.tolist() for values in x],
            **differences(states),
        },
    }


def differences(solved):
    """Free energies relative to the first state, and errors of all differences."""
    table = solved.compute_free_energy_differences()
    return {"free_energies": table["Delta_f"][0].tolist(), "errors": table["dDelta_f"].tolist()}


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(answers()) + "\n")
