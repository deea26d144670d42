"""The training of deep machines in the experiments."""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from ebmjax.learn.contrast import greedy
from experiments.application.report import Report
from experiments.spins.deep_machines import shown


@pytest.mark.slow
@pytest.mark.optax
def test_pretraining_with_a_bar_has_the_numbers_of_greedy_pretraining(tmp_path):
    data = jax.random.bernoulli(jax.random.key(0), 0.3, (32, 6)).astype(np.float32)
    of_layer = partial(greedy.copied_machine, beta=1.0, optimizer=optax.sgd(0.05, momentum=0.5))
    pretrain = partial(greedy.pretrain, jax.random.key(1), of_layer, (5, 4), 1.0, data, 8, 5)
    with_bar = pretrain(shown(Report(tmp_path, "machines", None, 0, False), "small"))
    jax.tree.map(np.testing.assert_array_equal, with_bar, pretrain())
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert sum("restricted machine of 5" in line for line in lines) == 20
    assert sum("restricted machine of 4" in line for line in lines) == 20
