"""Data of the group `sparse`: whitened patches of natural pictures, and a dictionary for them."""

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
"""Rows (and columns) of a patch."""
WEIGHT = 0.1
"""λ, the weight of the L1 norm in `dictionary` and in all comparisons."""
BATCH, UPDATES = 128, 300


@cache
def patches(count: int, unit: bool = True) -> np.ndarray:
    """Whitened patches of scikit-image's pictures, each minus its mean: float32 (count, 144).

    The spectrum of a picture is multiplied by ρ exp(-(ρ/0.4)⁴), with ρ in cycles per pixel, and its variance is then
    scaled to 0.1. The result is equal at every call. It is cached, and so it is read-only.

    Args:
        count: number of patches.
        unit: whether each patch is scaled to length 1.

    Raises:
        ValueError: scikit-image is not installed.
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
    """A dictionary with unit columns for patches of length 1: float32 (144, atoms), learned online from other patches.

    The result is equal at every call. It is cached, and so it is read-only.
    """
    data = jnp.asarray(patches(BATCH * UPDATES + 10_000)[10_000:])
    first_key, key = jax.random.split(random_bits.unrolled(jax.random.key(1)))
    learner = online(partial(coordinate.solve_batch, tolerance=0.05), l1(WEIGHT))
    learned = jax.jit(lambda key, params, data: train(key, learner, params, data, BATCH, 1))
    params: Params = learned(key, from_data(first_key, data, atoms), data).params
    found = np.array(params.dictionary)
    found.flags.writeable = False
    return found
