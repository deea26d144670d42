"""Whitened patches of natural pictures, and a dictionary for them: what the sparse coders are compared on."""

import importlib.util
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax import random_bits, train
from ebmjax.energies.regularizers import l1
from ebmjax.energies.sparse_coding import Params, from_data
from ebmjax.learn.dictionaries.dictionary import online
from ebmjax.minimize.codes import coordinate

SIZE = 12
"""Pixels along the side of a patch."""
WEIGHT = 0.1
"""The weight λ of the l1 norm that `dictionary` is learned with, and that all comparisons use."""
BATCH, UPDATES = 128, 300


@cache
def patches(count: int, unit: bool = True) -> np.ndarray:
    """Patches of scikit-image's own pictures, whitened, less the mean of each: float32 (count, 144).

    The spectrum of a picture is multiplied by ρ exp(-(ρ/0.4)⁴), ρ in cycles per pixel, its variance is then 0.1. The
    same at every call; kept, so not to be written to.

    Args:
        count: how many.
        unit: scale each to length one.

    Raises:
        ValueError: in one line, scikit-image is not installed.
    """
    if not importlib.util.find_spec("skimage"):
        raise ValueError("patches: got no scikit-image, wanted its pictures (install the extra `experiments`)")
    from experiments.data import natural

    pictures = [natural.whiten(picture) for picture in natural.load(natural.Natural.SKIMAGE)]
    found = natural.centred(natural.patches(jax.random.key(0), pictures, SIZE, count, natural.BORDER))
    if unit:
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    found.flags.writeable = False
    return found


@cache
def dictionary(atoms: int) -> np.ndarray:
    """A dictionary of unit columns for patches of length one: float32 (144, atoms), learned online from other patches.

    The same at every call; kept, so not to be written to.
    """
    data = jnp.asarray(patches(BATCH * UPDATES + 10_000)[10_000:])
    first_key, key = jax.random.split(random_bits.unrolled(jax.random.key(1)))
    learner = online(partial(coordinate.solve_batch, tolerance=0.05), l1(WEIGHT))
    learned = jax.jit(lambda key, params, data: train(key, learner, params, data, BATCH, 1))
    params: Params = learned(key, from_data(first_key, data, atoms), data).params
    found = np.array(params.dictionary)
    found.flags.writeable = False
    return found
