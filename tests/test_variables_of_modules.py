"""What stands at the top level of a user's module may change between two calls of a compiled function."""

import importlib
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import circle, free_energy
from ebmjax.compiled import compiled


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that makes modules of the user."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def make(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        names.append(name)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for name in names:
        sys.modules.pop(name, None)


MODEL = """
    import jax.numpy as jnp

    slope = 2.0
    shift = jnp.zeros(2)

    def squared(z):
        return slope * jnp.sum((z - shift) ** 2)

    def energy(z):
        return squared(z) + 1.0

    def of_angle(angle):
        return energy(jnp.stack([jnp.cos(angle), jnp.sin(angle)]))
"""


def test_a_changed_number_of_a_module_changes_the_result(module):
    model = module("model_of_user", MODEL)
    first = free_energy(model.of_angle, circle(16), 1.0)
    model.slope = 3.0
    np.testing.assert_allclose(first, 3.0, rtol=1e-6)
    np.testing.assert_allclose(free_energy(model.of_angle, circle(16), 1.0), 4.0, rtol=1e-6)


def test_a_changed_array_of_a_module_is_data(module):
    model, traces = module("model_of_user", MODEL), []

    @compiled
    def value(energy, z):
        traces.append(z)
        return energy(z)

    for shift in (0.0, 1.0, 2.0):
        model.shift = jnp.full(2, shift)
        np.testing.assert_allclose(value(model.energy, jnp.ones(2)), 4 * (1 - shift) ** 2 + 1)
    assert len(traces) == 1


def test_a_module_may_be_read_through_another_one(module):
    settings = module("settings_of_user", "slope = 2.0")
    model = module("model_of_user", "import settings_of_user\n\ndef energy(z):\n    return settings_of_user.slope * z")
    value = compiled(lambda energy, z: energy(z))
    assert float(value(model.energy, 1.0)) == 2
    settings.slope = 5.0
    assert float(value(model.energy, 1.0)) == 5
    assert settings.slope == 5.0


def test_a_log_of_a_module_is_kept(module):
    """And the function compiles once: the log tells how often it was traced."""
    text = "log = []\nslopes = [2.0]\n\ndef energy(z):\n    log.append(z)\n    return slopes[0] * z"
    model, value = module("model_of_user", text), compiled(lambda energy, z: energy(z))
    assert [float(value(model.energy, jnp.float32(z))) for z in (1.0, 2.0)] == [2, 4]
    assert len(model.log) == 1
    model.slopes[0] = 3.0
    assert float(value(model.energy, jnp.float32(1.0))) == 3


def test_a_function_that_calls_itself_gives_its_value(module):
    text = "def energy(z, n=3):\n    return z if n == 0 else 2 * energy(z, n - 1)"
    assert float(compiled(lambda energy, z: energy(z))(module("model_of_user", text).energy, 1.0)) == 8


def test_keys_that_cannot_be_sorted_are_no_fault(module):
    model = module("model_of_user", "table = {1: 2.0, 'a': 3.0}\n\ndef energy(z):\n    return table[1] * z")
    value = compiled(lambda energy, z: energy(z))
    assert float(value(model.energy, 1.0)) == 2
    model.table[1] = 4.0
    assert float(value(model.energy, 1.0)) == 4


def test_a_module_without_variables_compiles_once(module):
    model, traces = module("model_of_user", "import jax.numpy as jnp\n\ndef energy(z):\n    return jnp.sum(z)"), []

    @compiled
    def value(energy, z):
        traces.append(z)
        return energy(z)

    for seed in range(3):
        value(model.energy, jax.random.normal(jax.random.key(seed), (3,)))
    assert len(traces) == 1
