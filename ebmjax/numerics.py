"""Matrix products in full precision, and the rule that says where the library takes them.

Products that define an energy, a field, a conditional law, a free energy or a certificate are computed in full
precision on every platform, by `matmul` of this file. GPUs and TPUs would otherwise round their factors to TF32 or
bfloat16, and an energy would be off by 1e-3 of its size.

Products with what is being learned take the default of the platform, as Flax does: the layers of `networks`, the
learned matrices of `minimize.unrolled`, and the statistics of `learn` (centering, dictionaries). There speed counts,
and the training corrects for rounding.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact


def matmul(a: Inexact[Array, "..."], b: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
    """`a @ b` in the full precision of its dtype, also on GPU and TPU. Shapes and errors are those of `jnp.matmul`.

    >>> matmul(jnp.ones((2, 3)), jnp.ones(3)).tolist()
    [3.0, 3.0]
    """
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
