"""What the tests of checkpoints and of resumed trainings ask of states and folders."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np


def same(a, b):
    """Whether two pytrees have the same structure, dtypes and bytes."""

    def content(leaf):
        is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        words = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
        return (str(leaf.dtype) if is_key else words.dtype, words.shape, words.tobytes())

    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        content(x) == content(y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def steps(folder):
    return sorted(int(path.name) for path in Path(folder).iterdir() if path.name.isdigit())
