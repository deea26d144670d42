"""A lattice in parts: here on one device; `tests.test_sharding` compares 1, 2, 4 and 8 devices, and processes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import random_bits, sharding
from ebmjax.sample.special import multispin, multispin_halo

ONE = sharding.line(jax.devices()[:1])


@pytest.mark.parametrize("coupling", [1.0, -1.0])
def test_parts_have_the_bits_of_the_whole(coupling):
    start, key = multispin.pack_lattice(jax.random.rademacher(jax.random.key(0), (128, 4), float)), jax.random.key(1)
    whole = multispin.lattice(coupling, 0.42, random_bits.hashed)
    parts = multispin_halo.lattice(coupling, 0.42, ONE, random_bits.hashed_at)
    wanted, found = (kernel.step(key, kernel.init(start))[0].position for kernel in (whole, parts))
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: multispin_halo.lattice(1.0, -1.0, ONE), "beta: got -1"),
        (lambda: multispin_halo.lattice(1.0, 1.0, jax.devices()), "devices: got a list"),
        (lambda: multispin_halo.lattice(1.0, 1.0, ONE, precision=25), "precision: got 25"),
        (lambda: multispin_halo.lattice(1.0, 1.0, ONE).init(jnp.ones((64, 4))), "position: got a "),
    ],
)
def test_what_cannot_be_split_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
