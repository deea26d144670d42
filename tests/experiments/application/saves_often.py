"""An experiment that saves after each of many short segments, as a program: tests end it from outside."""

import signal
import sys
from dataclasses import dataclass

import jax.numpy as jnp
import optax

from ebmjax.learn.gradient import gradient
from experiments.application import cli
from experiments.application.catalogue import Experiment
from experiments.application.watched import train_watched
from experiments.drawing import plots


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    segments: int = 80
    """Segments of the training, with a checkpoint after each."""


QUICK = Config()


def run(config, report):
    learner = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.adam(0.01))
    data = jnp.linspace(0.0, 1.0, 12)[:, None]
    measure = lambda w: {"distance": jnp.abs(w - 0.5)}
    trained = train_watched(
        report.key(), report, "line", learner, jnp.array(3.0), data, 4, 1, config.segments, measure, dict
    )
    figure, axes = plots.one()
    axes.plot(trained.updates, trained.measures["distance"])
    report.figure("line", figure)
    report.summary(params=trained.params)


if __name__ == "__main__":
    # a shell starts what runs in the background without Ctrl-C, and its children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.modules["experiments.fake.saves_often"] = sys.modules["__main__"]
    cli.EXPERIMENTS["saves_often"] = Experiment("saves_often", "fake", "Saves often")
    sys.exit(cli.main(["saves_often", *sys.argv[1:]]))
