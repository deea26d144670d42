"""Moments that take long to compute: records in the folder `references`, and the command that makes them.

    python -m experiments.samplers.references volatility
    python -m experiments.samplers.references logistic

A record has the means of x and x² of every unknown with their standard errors, and the command. Moments that have no
quadrature are those of a run of Hamiltonian Monte Carlo whose step sizes vary from step to step. What has not mixed is
not kept.
"""

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax import diagnostics
from ebmjax.loops import trajectory
from ebmjax.problems.laws.problem import Problem, Truth
from ebmjax.sample.hamiltonian import hamiltonian
from ebmjax.sample.rescaled import rescaled
from ebmjax.sample.warm_up import warm_up
from experiments.samplers import volatility_truth

FOLDER = Path(__file__).parent / "references"
SEED, CHAINS, WARM, DRAWS, LEAPS = 0, 64, 2000, 4000, 32
R_HAT, LEAST_ESS = 1.005, 20_000
"""A record is written for a run that is better than this, in its worst unknown."""
BY_QUADRATURE = {"volatility": volatility_truth.truth}
"""Problems whose moments are sums over grids."""
MOST_AT_AN_END = 1e-4
"""The share of the weight that may lie at an end of a grid."""


def read(name: str) -> Truth | None:
    """The truth of a record; None where there is none."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    kept = json.loads(path.read_text())
    read: dict[str, Any] = {field: np.asarray(kept[field], np.float64) for field in Truth._fields if field != "source"}
    return Truth(**read, source=kept["source"])


def long_run(problem: Problem, seed: int, chains: int, warm: int, draws: int) -> tuple[Truth, dict[str, Any]]:
    """The moments by many chains, and what says whether the run may be trusted."""
    start_key, warm_key, jitter_key, draw_key = jax.random.split(jax.random.key(seed), 4)
    make = lambda energy, step_size: hamiltonian(energy, problem.beta, step_size, LEAPS)

    def chain(start_key, warm_key, jitter_key, draw_key):
        found = warm_up(warm_key, problem.energy, make, problem.start(start_key), warm)
        # trajectories of one length would return to where they began in some directions
        sizes = found.step_size * jax.random.uniform(jitter_key, (draws,), minval=0.3, maxval=1.0)
        kernel = lambda size: rescaled(lambda energy: make(energy, size), problem.energy, found.scale)
        return trajectory(draw_key, kernel, found.position, draws, schedule=sizes).positions, found.result

    keys = (jax.random.split(key, chains) for key in (start_key, warm_key, jitter_key, draw_key))
    positions, results = jax.jit(jax.vmap(chain))(*keys)
    truth, checks = jax.jit(lambda x: ((_moments(x), _moments(x**2)), _checks(x)))(positions)
    (means, mean_errors), (squares, square_errors) = jax.tree.map(lambda part: np.asarray(part, np.float64), truth)
    exact = np.asarray(positions, np.float64).reshape(-1, problem.unknowns)
    found = Truth(exact.mean(axis=0), (exact**2).mean(axis=0), (exact**2).std(axis=0), mean_errors, square_errors, "")
    assert np.allclose(found.means, means, rtol=1e-3, atol=1e-3)
    assert np.allclose(found.squares, squares, rtol=1e-3, atol=1e-3)
    r_hat, least = (float(part) for part in checks)
    return found, {"r_hat": r_hat, "least_ess": least, "warm_up_converged": float(np.mean(np.asarray(results) == 0))}


def _moments(x):
    return jnp.mean(x, axis=(0, 1)), diagnostics.mean_standard_error(x)


def _checks(x):
    return diagnostics.r_hat(x).max(), diagnostics.bulk_effective_sample_size(x).min()


def main(names: list[str]) -> None:
    """Write the records of these problems."""
    from experiments.samplers import league_laws  # which reads the records

    for name in names:
        command = f"python -m experiments.samplers.references {name}"
        if name in BY_QUADRATURE:
            truth, checks = BY_QUADRATURE[name]()
            if not checks["weight_at_an_end"] < MOST_AT_AN_END:
                sys.exit(f"{name}: the grids are too short: {checks}")
            _write(name, truth, {"source": f"quadrature: {command}", **checks})
            continue
        problem = league_laws.entry(league_laws.Which(name)).problem
        truth, checks = long_run(problem, SEED, CHAINS, WARM, DRAWS)
        if not (checks["r_hat"] < R_HAT and checks["least_ess"] > LEAST_ESS):
            sys.exit(f"{name}: the run has not mixed: {checks}")
        sizes = {"seed": SEED, "chains": CHAINS, "warm_up": WARM, "draws": DRAWS}
        _write(name, truth, {"source": f"a run of {CHAINS * DRAWS:,} draws: {command}", **sizes, **checks})


def _write(name: str, truth: Truth, record: dict[str, Any]) -> None:
    versions = {"python": platform.python_version(), "jax": version("jax")}
    fields = {field: np.round(part, 7).tolist() for field, part in truth._asdict().items() if field != "source"}
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps({**record, **versions, **fields}) + "\n")
    print(name, record)


if __name__ == "__main__":
    main(sys.argv[1:])
