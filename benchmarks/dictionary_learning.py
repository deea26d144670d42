"""Dictionary learning of the group `sparse`: one pass over patches. The unit of work is an epoch."""

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import patches
from benchmarks.runner import WIDE, Case, Outcome, Side
from ebmjax import random_bits, train
from ebmjax.energies.regularizers import l1
from ebmjax.energies.sparse_coding import Params
from ebmjax.learn.dictionaries.dictionary import online
from ebmjax.minimize.codes import coordinate

MARGIN = 0.01
"""A peer may end at most this part above or below our objective."""
TOLERANCE = 0.3
"""Of our codes while learning, the gap as a part of the energy: with 0.05 the objective is the same to four digits."""
OURS, SPAMS, SKLEARN = 512, 512, 256
"""Samples an update of each side; the peers' are their defaults. Larger ones make ours and SPAMS faster and their
objectives worse, scikit-learn takes the same time with 256 to 1024."""


def case(quick: bool) -> Case:
    """256 atoms, 50,000 patches once; all sides start from the same patches as atoms."""
    count, atoms, held = (2048, 64, 512) if quick else (50_000, 256, 10_000)
    drawn = cache(lambda: patches.patches(count + held + atoms))
    data = lambda: drawn()[:count]
    first = lambda: np.ascontiguousarray(drawn()[-atoms:].T)
    exact = jax.jit(lambda dictionary, y: _energies(Params(dictionary), y, 1e-3))

    def score(dictionary: np.ndarray) -> float:
        """Mean energy of patches that no side has seen, at exact codes and unit columns."""
        found = jnp.asarray(dictionary, jnp.float32)
        found /= jnp.linalg.norm(found, axis=0, keepdims=True)
        return float(jnp.mean(exact(found, jnp.asarray(drawn()[count : count + held]))))

    def side(prepared: Callable[[], Callable[[], np.ndarray]], made: str = "", name: str = "") -> Side:
        """`prepared()` compiles and lays out the data for what learns."""

        def prepare():
            fit = prepared()
            # the same at every call, since seeds and starts are
            objective = cache(lambda: score(fit()))
            objective()

            def call():
                return Outcome(fit(), objective())

            return call

        return Side(prepare, made, 1, name)

    def ours():
        learner = online(partial(coordinate.solve_batch, tolerance=TOLERANCE), l1(patches.WEIGHT))
        learned = lambda key, params, data: train(key, learner, params, data, OURS, 1).params.dictionary
        arguments = random_bits.unrolled(jax.random.key(2)), Params(jnp.asarray(first())), jnp.asarray(data())
        options = WIDE if jax.default_backend() == "cpu" else None
        executable = jax.jit(learned, compiler_options=options).lower(*arguments).compile()
        return lambda: jax.block_until_ready(executable(*arguments))

    def spams():
        module = importlib.import_module("benchmarks.peers.spams_dictionary")
        columns = np.asfortranarray(data().T), np.asfortranarray(first())
        return partial(module.fit, columns[1], columns[0], patches.WEIGHT, SPAMS)

    def sklearn():
        module = importlib.import_module("benchmarks.peers.sklearn_dictionary")
        double = first().astype(np.float64), data().astype(np.float64)
        return partial(module.fit, *double, patches.WEIGHT, SKLEARN)

    peers, missing = {}, tuple(name for name in ("spams", "sklearn") if not importlib.util.find_spec(name))
    if "spams" not in missing:
        peers["spams"] = side(spams, version("spams-bin"), f"SPAMS trainDL, batch {SPAMS}")
    if "sklearn" not in missing:
        peers["sklearn"] = side(sklearn, version("scikit-learn"), f"scikit-learn, float64, batch {SKLEARN}")

    def agree(ours: Outcome, peer: Outcome) -> None:
        assert ours.objective <= (1 + MARGIN) * peer.objective, f"energies {ours.objective} and {peer.objective}"

    note = (
        f"weight {patches.WEIGHT:g}, patches of length one; our batch {OURS}; objective: mean energy of {held:,} other "
        f"patches, ours at most {MARGIN:.0%} above a peer's"
    )
    name = f"dictionary of {atoms} atoms, {count:,} patches {patches.SIZE} x {patches.SIZE}"
    return Case(name, "epoch", side(ours), peers, agree, note, missing)


def _energies(params, y, tolerance):
    return coordinate.solve_batch(params, l1(patches.WEIGHT), y, tolerance=tolerance).energy
