"""Records print on one screen, help says what their fields are, and they remain the tuples that they were."""

import copy
import pickle
import pydoc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebmjax
from ebmjax.learn.train import Metrics, Trained
from ebmjax.loops import Run
from ebmjax.records import brief, record
from ebmjax.types import SPINS, Solution

BIG = jnp.ones((784, 64))


def test_what_is_trained_prints_on_one_screen():
    params = {f"layer{index}": BIG for index in range(40)}
    metrics = Metrics({"loss": jnp.ones((100, 600))}, jnp.ones((100, 600), bool))
    lines = repr(Trained(params, (params, [params] * 30), metrics)).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert "'layer0': float32[784,64]" in lines[2]


def test_small_values_are_shown_and_large_ones_by_their_shape():
    assert repr(Solution(jnp.float32(1.5), 0.5, 3, 0)) == (
        "Solution(value=Array(1.5, dtype=float32), energy=0.5, steps=3, result=0, gap=inf)"
    )
    assert (
        repr(Run(None, BIG, np.zeros(100, np.uint8))) == "Run(state=None, positions=float32[784,64], infos=uint8[100])"
    )
    network = ebmjax.networks.MLP(jax.random.key(0), (2, 8, 1))
    assert repr(Run(network, (), {})) == "Run(state=MLP(… 33 numbers), positions=(), infos={})"
    assert brief([1, (2,)]) == "[1, (2,)]"
    jax.jit(lambda x: repr(Run(x, x, x)) and x)(BIG)  # traced arrays too


def test_help_shows_the_fields_and_what_they_mean():
    page = pydoc.render_doc(Trained, renderer=pydoc.plaintext)
    assert "params: Any\n |          The last finite parameters." in page
    assert len(page.splitlines()) < 40
    assert not any(name in page for name in ("__add__", "__getnewargs__", "_make", "inherited from builtins.tuple"))
    assert "gap: Float[Array, ''] | float = inf" in pydoc.render_doc(Solution, renderer=pydoc.plaintext)


def test_records_remain_tuples():
    run = Run(1, 2, None)
    assert run == (1, 2, None)
    assert run._replace(state=5).state == 5
    assert pickle.loads(pickle.dumps(SPINS)) == SPINS
    assert copy.deepcopy(run) == run
    assert jax.tree.map(lambda leaf: leaf + 1, run) == Run(2, 3, None)
    assert jax.tree_util.keystr(jax.tree_util.tree_flatten_with_path(run)[0][0][0]) == ".state"


def test_a_record_keeps_its_own_methods_and_may_be_made_anywhere():
    @record
    class Local(NamedTuple):
        """One number."""

        x: Any = 2

        def doubled(self):
            """Twice the number."""
            return 2 * self.x

        def __repr__(self):
            return "mine"

    assert (Local().doubled(), repr(Local()), dir(Local)) == (4, "mine", ["doubled", "x"])
    assert "Twice the number." in pydoc.render_doc(Local, renderer=pydoc.plaintext)


@pytest.mark.parametrize("kind", [Trained, Run, Solution])
def test_records_say_where_they_are_from(kind):
    assert getattr(__import__(kind.__module__, fromlist=["_"]), kind.__qualname__) is kind
