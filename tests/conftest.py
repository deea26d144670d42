"""House rules for every test: strict dtypes and ranks, shapes checked, compilations cached between runs."""

import jax
import pytest

from experiments import compilation_cache

compilation_cache.enable()
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64():
    """Double precision inside one test, where a truth is compared."""
    with jax.enable_x64(True):
        yield
