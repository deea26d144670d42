"""The training of deep machines in the experiments."""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from ebmjax.learn.contrast import greedy
from experiments.application.report import Report
from experiments.spins.deep_machines import Plan, pretrained


@pytest.mark.slow
@pytest.mark.optax
def test_pretraining_with_a_bar_has_the_numbers_of_greedy_pretraining(tmp_path):
    plan = Plan(8, 20, 0.05, 0, 0.0, 1, 1, 1, 1)
    data = jax.random.bernoulli(jax.random.key(0), 0.3, (32, 6)).astype(np.float32)
    key = jax.random.key(1)
    shown = pretrained(key, Report(tmp_path, "machines", None, 0, False), "small", plan, (5, 4), data, 5)
    of_layer = partial(greedy.copied_machine, beta=1.0, optimizer=optax.sgd(0.05, momentum=0.5))
    jax.tree.map(np.testing.assert_array_equal, shown, greedy.pretrain(key, of_layer, (5, 4), 1.0, data, 8, 5))
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert sum("restricted machine 1" in line for line in lines) == 20
    assert sum("restricted machine 2" in line for line in lines) == 20
