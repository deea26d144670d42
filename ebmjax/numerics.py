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
import numpy as np
from jaxtyping import Array, Float, Inexact

BOUND_ERRORS = 3
"""Standard errors by which a drawn bound stands off: if they are right and normal, it fails at most once in 700."""


def matmul(a: Inexact[Array, "..."], b: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
    """`a @ b` in the full precision of its dtype, also on GPU and TPU. Shapes and errors are those of `jnp.matmul`.

    >>> matmul(jnp.ones((2, 3)), jnp.ones(3)).tolist()
    [3.0, 3.0]
    """
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def unit_of(array: Float[Array, "..."]) -> Float[Array, ""]:
    """The largest power of two that is not above the largest magnitude of an array; 1 where that is 0 or not finite.

    A problem that is divided by its unit has numbers near 1, whose squares neither underflow nor overflow. Dividing by
    a power of two rounds nothing. The unit is constant to differentiation.

    >>> [unit_of(jnp.array(x)).item() for x in ([3.0, -5.0], [0.0], [jnp.inf])]
    [4.0, 1.0, 1.0]
    """
    largest = jnp.max(jnp.abs(jax.lax.stop_gradient(array)), initial=0)
    wide = largest.dtype.itemsize == 8
    exponent = jnp.asarray(0x7FF << 52, jnp.int64) if wide else jnp.asarray(0x7F800000, jnp.int32)
    bits = jax.lax.bitcast_convert_type(largest, exponent.dtype) & exponent
    unit = jax.lax.bitcast_convert_type(bits, largest.dtype)
    return jnp.where((unit > 0) & jnp.isfinite(largest), unit, 1)


def largest_magnitude(array: Float[Array, "..."]) -> Float[Array, ""]:
    """max |x|, in 16 lanes where the length allows it: within a small compiled loop a plain maximum takes one by one.

    >>> largest_magnitude(jnp.array([3.0, -5.0])).item()
    5.0
    """
    lanes = array.reshape(-1, 16) if array.ndim == 1 and array.size % 16 == 0 else array[None]
    return jnp.max(jnp.max(jnp.abs(lanes), axis=0))


def widened(array: Array | np.ndarray) -> Array:
    """An array of JAX, with half precision as float32, in which it is computed.

    >>> widened(np.ones(2, np.float16)).dtype.name, widened(np.ones(2, np.int32)).dtype.name
    ('float32', 'int32')
    """
    half = jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize < 4
    return jnp.asarray(array, jnp.float32) if half else jnp.asarray(array)


@jax.custom_jvp
def sum_softplus(logits: Float[Array, "..."]) -> Float[Array, ""]:
    """Σ log(1 + exp aᵢ) over all entries, with one logarithm for 112 terms.

    Each term is max(a, 0) + log(1 + exp(-|a|)). The argument of the logarithm lies in [1, 2], so that the product of
    112 of them does not overflow. A logarithm for each entry, such as a pixel of a sample, would take most of the time.

    >>> round(sum_softplus(jnp.array([0.0, 0.0, 100.0])).item(), 4)  # 2 log 2 + 100
    101.3863
    """
    flat = logits.ravel()
    terms = jnp.pad(1 + jnp.exp(-jnp.abs(flat)), (0, -flat.size % 112), constant_values=1)
    products = jnp.prod(terms.reshape(-1, 112), axis=-1)
    return jnp.sum(jnp.maximum(flat, 0)) + jnp.sum(jnp.log(products))


@sum_softplus.defjvp
def _sum_softplus_jvp(primals, tangents):
    (logits,), (slope,) = primals, tangents
    return sum_softplus(logits), jnp.sum(jax.nn.sigmoid(logits) * slope)


def added(
    total: Float[Array, "..."], lost: Float[Array, "..."], term: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """A sum with what its rounding has lost so far, so that a million terms are added as exactly as two (Kahan).

    >>> total, lost = added(jnp.float32(1.0), jnp.float32(0.0), jnp.float32(1e-9))
    >>> total.item(), round(lost.item() * 1e9, 3)
    (1.0, 1.0)
    """
    term = term + lost
    larger = total + term
    return larger, jax.lax.stop_gradient(jnp.where(jnp.isfinite(larger), term - (larger - total), 0))


def below(value: Float[Array, "..."], standard_error: Float[Array, "..."]) -> Float[Array, "..."]:
    """A lower bound from an estimate that is at most log Z in the mean: 3 of its standard errors are taken off.

    An estimate in the mean is above the truth about as often as below where its bias is small beside its error. Where
    the error is not known there is no bound, -inf. An upper bound is `-below(-value, standard_error)`.

    >>> [float(below(jnp.array(1.0), jnp.array(error))) for error in (0.1, jnp.nan)]
    [0.699999988079071, -inf]
    """
    known = ~jnp.isnan(value) & ~jnp.isnan(standard_error)
    return jnp.where(known, value - BOUND_ERRORS * standard_error, -jnp.inf)
