"""A canary for the compiler: jax 0.10.2 returned thousands of wrong rows here on CPU, silently."""

import jax
import jax.numpy as jnp
import numpy as np


def test_vmapped_reduction_of_a_small_product_is_right():
    matrix = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    rows = np.random.default_rng(1).normal(size=(40_000, 3)).astype(np.float32)
    compiled = jax.jit(jax.vmap(lambda z: jnp.sum((jnp.asarray(matrix) @ z) ** 2)))
    truth = ((rows.astype(np.float64) @ matrix.T.astype(np.float64)) ** 2).sum(axis=1)
    wrong = np.abs(np.asarray(compiled(rows)) - truth) > 1e-4 * (1 + truth)
    assert not wrong.any(), f"jax {jax.__version__} miscompiles {wrong.sum()} of {len(rows)} rows: use another version"


def test_reductions_of_high_rank_do_not_crash():
    """jax 0.11.0 crashed on rank-7 and rank-8 reductions."""
    for rank in (7, 8):
        values = jnp.ones((2,) * rank)
        assert float(jax.jit(jnp.sum)(values)) == 2.0**rank
        assert float(jax.jit(lambda v: v.sum(axis=(1, 3, 5)).max())(values)) == 8.0
