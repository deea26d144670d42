"""House rules for every test: strict dtypes and ranks, shapes checked, compilations cached between runs."""

import ctypes
import gc
import sys

from experiments.application import compilation_cache  # before jax, whose cache is noisy on stderr otherwise

compilation_cache.enable()

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

gc.set_threshold(100_000)  # tracing makes many small objects: looking for cycles as often as Python does takes a tenth

LONG = (
    "ebmjax/diagnostics/calibration",
    "ebmjax/diagnostics/chains",
    "ebmjax/diagnostics/invariance",
    "ebmjax/diagnostics/ranks",
    "ebmjax/energies/convolutional_sparse_coding",
    "ebmjax/energies/generalized_horn",
    "ebmjax/energies/neural",
    "ebmjax/energies/variational_autoencoder",
    "ebmjax/learn/checkpoint",
    "ebmjax/learn/contrast/contrastive",
    "ebmjax/learn/contrast/greedy",
    "ebmjax/learn/contrast/replay",
    "ebmjax/learn/dictionaries",
    "ebmjax/likelihoods",
    "ebmjax/losses/evidence_bound",
    "ebmjax/losses/likelihood",
    "ebmjax/marginalize/annealed",
    "ebmjax/marginalize/density_of_states",
    "ebmjax/marginalize/elimination/draws",
    "ebmjax/marginalize/free_energy",
    "ebmjax/marginalize/pilot",
    "ebmjax/marginalize/population",
    "ebmjax/marginalize/refine",
    "ebmjax/marginalize/reweighting",
    "ebmjax/marginalize/thermodynamics",
    "ebmjax/minimize/codes/coordinate",
    "ebmjax/networks/convolutional",
    "ebmjax/problems/planting",
    "ebmjax/sample/adaptive_tempering",
    "ebmjax/sample/special/multispin",
    "ebmjax/sample/warm_up",
)
"""Where examples compile for long: they are among the long tests. `tests.entries` runs them as well."""


@pytest.hookimpl(tryfirst=True)  # before the long tests are left out
def pytest_collection_modifyitems(items):
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.nodeid.startswith(LONG):
            item.add_marker(pytest.mark.slow)


def release():
    """Give memory that is free back to the system, where the C library is glibc, which otherwise keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@pytest.fixture(autouse=True, scope="module")
def bounded_memory():
    """Compiled programs are forgotten after each file: kept, those of all files take many gigabytes."""
    yield
    jax.clear_caches()
    release()


@pytest.fixture(autouse=True)
def strict_promotion(request):
    """No silent change of dtype, except under optax, whose Adam raises floats to an integer power."""
    promotion = "standard" if request.node.get_closest_marker("optax") else "strict"
    with jax.numpy_dtype_promotion(promotion):
        yield


@pytest.fixture
def x64():
    """Double precision inside one test, where a truth is compared."""
    with jax.enable_x64(True):
        yield
