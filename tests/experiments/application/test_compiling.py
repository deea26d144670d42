"""How long a run compiles is told, and what it has compiled is kept for the next one."""

import time

import jax
import jax.numpy as jnp
import pytest

from experiments.application import compilation_cache
from experiments.application.compile_clock import CompileClock
from experiments.application.report import Report


class Clock:
    """A clock of this file, which JAX and the report read in place of the machine's."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        for name in ("time", "perf_counter"):
            monkeypatch.setattr(time, name, lambda: self.now)


def test_compiled_computes_and_times_the_compiler(report, monkeypatch):
    clock = Clock(monkeypatch)

    def slow_to_trace(x):
        clock.now += 0.25
        return {"twice": 2 * x}

    with report.running():
        first = report.compiled(slow_to_trace, jnp.arange(3.0))
        second = report.compiled(jax.jit(jnp.sum), jnp.arange(3.0))
        clock.now += 0.5
    assert first["twice"].tolist() == [0.0, 2.0, 4.0]
    assert second == 3.0
    assert report.compilations == 2
    summary = report.finish()
    assert summary["compilations"] == 2
    assert summary["seconds_compile"] == 0.25
    assert summary["seconds_run"] == 0.5


def test_compiling_counts_wherever_it_happens(report, monkeypatch):
    clock = Clock(monkeypatch)

    def slow_to_trace(x):
        clock.now += 0.25
        return x + 1

    jax.jit(slow_to_trace)(jnp.ones(5))  # before the run: none of its time
    with report.running():
        jax.jit(lambda x: slow_to_trace(x) * 3)(jnp.ones(5))
    assert report.finish()["seconds_compile"] == 0.25
    again = Report(report.folder.parent / "again", "fake", None, 0, False)
    with again.running():
        pass
    assert again.finish()["seconds_compile"] == 0


def test_spans_within_spans_count_once():
    clock = CompileClock()
    clock.add(1.0, 2.0)
    clock.add(2.5, 3.0)  # two inner traces,
    clock.add(0.5, 3.5)  # and the one that called them
    clock.add(4.0, 5.0)
    clock.add(4.5, 6.0)  # one that began during another
    assert clock.seconds == pytest.approx(5.0)


@pytest.fixture
def cache_settings():
    """Puts JAX's cache settings back after the test."""
    names = ("dir", "min_compile_time_secs", "min_entry_size_bytes")
    options = ["jax_compilation_cache_dir", *(f"jax_persistent_cache_{name}" for name in names[1:])]
    before = {option: getattr(jax.config, option) for option in options}
    yield
    for option, value in before.items():
        jax.config.update(option, value)


def test_the_compilation_cache_lies_in_the_users_cache(tmp_path, monkeypatch, cache_settings):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert compilation_cache.folder() == tmp_path / "home/.cache/ebmjax/jax"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    jax.config.update("jax_compilation_cache_dir", None)
    assert compilation_cache.enable() == tmp_path / "cache/ebmjax/jax"
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache/ebmjax/jax")
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0


def test_without_a_place_for_a_cache_work_goes_on(tmp_path, monkeypatch, cache_settings):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    jax.config.update("jax_compilation_cache_dir", None)
    assert compilation_cache.enable() is None
    assert jax.config.jax_compilation_cache_dir is None
