"""Loops with a bar give the numbers of `jax.lax.scan` and `train`, and their metrics while they go on."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import gradient, memory, train
from ebmjax.random_bits import THREEFRY
from experiments.application import kept
from experiments.application.report import Report, TooLargeError
from experiments.application.shown import PIECES, map_shown, piece_length, scan_shown, train_shown

LEARNER = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.1, momentum=0.9))
DATA = jnp.linspace(0, 3, 12)


def shown(folder, epochs, every=5):
    report = Report(folder, "training", None, 0, False)
    write = lambda step, told: report.metrics(step=step, loss=told.loss)
    return train_shown(jax.random.key(0), report, LEARNER, jnp.array(0.0), DATA, 4, epochs, every, write)


def noisy_sum(state, item, scale):
    """A step that draws, so that the keys matter, and depends on the state."""
    (key, other), number = item
    state = 0.9 * state + scale * number + jax.random.normal(key) + jax.random.uniform(other)
    return state, {"state": state, "number": number}


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("total", "programs"), [(7, 1), (60, 1), (97, 2)])
def test_a_scan_in_pieces_has_the_numbers_of_one_scan(tmp_path, total, programs):
    report = Report(tmp_path, "scan", None, 0, False)
    keys = jax.random.split(jax.random.key(0), total), jax.random.split(jax.random.key(1, impl=THREEFRY), total)
    items = keys, np.arange(total, dtype=np.float32)
    told = []

    def tell(done, measured):
        told.append(measured["number"])
        assert done == measured["number"][0]
        return ""

    state, measured = scan_shown(report, "adding", noisy_sum, jnp.array(2.0), items, jnp.array(0.5), tell=tell)
    whole = jax.lax.scan(lambda state, item: noisy_sum(state, item, 0.5), jnp.array(2.0), items)
    np.testing.assert_allclose(state, whole[0], rtol=1e-6)
    np.testing.assert_allclose(measured["state"], whole[1]["state"], rtol=1e-6)
    assert isinstance(measured["state"], np.ndarray)
    assert np.concatenate(told).tolist() == list(range(total))
    assert report.compilations == programs


@pytest.mark.parametrize(("total", "chunk", "programs"), [(7, 1, 1), (60, 4, 1), (50, 4, 2), (3, 8, 1)])
def test_a_map_in_pieces_has_the_numbers_of_one_map(tmp_path, total, chunk, programs):
    report = Report(tmp_path, "map", None, 0, False)
    examples = jax.random.split(jax.random.key(0), total), np.arange(total, dtype=np.float32)
    told = []

    def tell(done, drawn):
        assert done == sum(told)
        told.append(len(drawn))
        return f"{drawn[-1]:.3g}"

    one = lambda example, scale: jax.random.normal(example[0]) + scale * example[1]
    found = map_shown(report, "drawing", one, examples, chunk, jnp.array(0.5), tell=tell)
    np.testing.assert_allclose(found, jax.vmap(one, (0, None))(examples, jnp.array(0.5)), rtol=1e-6)
    assert isinstance(found, np.ndarray)
    assert sum(told) == total
    assert all(size % chunk == 0 for size in told[:-1])
    assert report.compilations == programs


def sorted_products(x):
    """Needs at least 1 MB for each example, since sorting is not fused with what is before it."""
    return jnp.linalg.norm(jnp.sort(jnp.outer(x, x), axis=0))


def test_a_map_that_does_not_fit_is_done_in_smaller_chunks(tmp_path, monkeypatch, capsys):
    x = jax.random.normal(jax.random.key(0), (8, 500))
    monkeypatch.setattr(memory, "left", lambda: 6e6)
    found = map_shown(Report(tmp_path, "map", None, 0, False), "sorting", sorted_products, x, 8)
    np.testing.assert_allclose(found, jax.lax.map(sorted_products, x), rtol=1e-5)
    told = capsys.readouterr().out
    assert "sorting: memory: got" in told
    assert "wanted at most the 6 MB that are left with 8 at a time, so it is done 4 at a time" in told


def test_what_does_not_fit_is_refused_before_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "left", lambda: 5e5)
    report = Report(tmp_path, "map", None, 0, False)
    with pytest.raises(TooLargeError, match=r"memory: got .* MB, wanted at most the 500 kB that are left"):
        map_shown(report, "sorting", sorted_products, jnp.ones((8, 500)), 8)
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize("stop", [1, 9, 31])
def test_a_loop_that_was_broken_off_goes_on_with_the_same_numbers(tmp_path, monkeypatch, stop):
    """A scan that draws and has a weak type in its state, and a map after it: saved after each piece."""
    monkeypatch.setattr(kept, "EVERY", 0.0)
    monkeypatch.setattr(kept, "SHARE", 0.0)
    keys = jax.random.split(jax.random.key(0), 40)

    class StoppedError(Exception):
        pass

    def run(folder, resume, stops):
        report, pieces = Report(folder, "scan", None, 0, False, resume=resume), []

        def tell(done, measured):
            for row, number in enumerate(np.asarray(measured), done):
                report.metrics(row=row, number=number)
            pieces.append(len(measured))
            if len(pieces) == stops:
                raise StoppedError
            return ""

        step = lambda state, key: (0.9 * state + jax.random.normal(key), state)
        last, drawn = scan_shown(report, "first", step, 1.0, keys, tell=tell)
        found = map_shown(report, "second", lambda key: jax.random.uniform(key), keys, 2, tell=tell)
        return report, pieces, (last, drawn, found)

    whole, pieces, numbers = run(tmp_path / "whole", False, 0)
    assert len(pieces) == 40
    with pytest.raises(StoppedError):
        run(tmp_path / "broken", False, stop)
    again, told, same = run(tmp_path / "broken", True, 0)
    assert told == pieces  # what was done is told again, as it was
    jax.tree.map(np.testing.assert_array_equal, same, numbers)
    assert again.compilations == (2 if stop <= 20 else 1)  # a loop that was done is not computed again
    assert lines(again.folder) == lines(whole.folder)


def test_a_short_loop_saves_nothing(tmp_path):
    shown(tmp_path, 40)
    assert not (tmp_path / "checkpoints").exists()


def test_pieces_are_some_twenty_and_even_where_they_can_be():
    for total in range(1, 2000):
        length = piece_length(total)
        pieces = -(-total // length)
        assert min(total, PIECES // 2) <= pieces < 3 * PIECES, total
        if total % length:
            wanted = total // PIECES
            assert all(total % similar for similar in range(-(-wanted // 2), 2 * wanted + 1))


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [3, 45])
def test_the_numbers_are_those_of_train(tmp_path, epochs):
    ours = shown(tmp_path, epochs)
    plain = train(jax.random.key(0), LEARNER, jnp.array(0.0), DATA, 4, epochs)
    assert jax.tree.structure(ours) == jax.tree.structure(plain)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-6), ours, plain)


def test_lines_of_metrics_are_the_first_update_and_every_fifth(tmp_path):
    trained = shown(tmp_path, 7)
    losses = trained.metrics.learner.loss.ravel()
    assert [line["step"] for line in lines(tmp_path)] == [1, 5, 10, 15, 20]
    assert [line["loss"] for line in lines(tmp_path)] == [float(losses[step - 1]) for step in (1, 5, 10, 15, 20)]


def test_the_share_done_is_told_with_the_newest_loss(tmp_path, capsys):
    shown(tmp_path, 40)
    told = [line for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert told[0].startswith("40 passes over the data … 5%, loss ")
    assert told[-1].startswith("40 passes over the data … 100%, loss ")


def test_metrics_are_there_before_the_end(tmp_path):
    class StoppedError(Exception):
        pass

    def interrupted(step, told):
        report.metrics(step=step)
        if step == 10:
            raise StoppedError

    report = Report(tmp_path, "training", None, 0, False)
    with pytest.raises(StoppedError):
        train_shown(jax.random.key(0), report, LEARNER, jnp.array(0.0), DATA, 4, 40, 5, interrupted)
    assert [line["step"] for line in lines(tmp_path)] == [1, 5, 10]
