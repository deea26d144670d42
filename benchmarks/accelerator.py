"""`python -m benchmarks.accelerator`: rates on one accelerator beside goals, in under ten minutes.

- A uniform Ising lattice with bit-packed spins: at least 450 spin updates a nanosecond on a card like the H100. A
  program written by hand in CUDA has 1,384 on one RTX 6000 Ada.
- A lattice with a coupling for every bond: at least 23 updates a nanosecond, which thrml has on one B200.
- Training a restricted Boltzmann machine by CD-1: at least half of the rate of a product of matrices that is measured
  in the same run.

`--lowered` runs nothing: it lowers the same programs for NVIDIA cards and for TPUs, on any machine, and prints the
operations and the bytes of a step that XLA counts. `--small` runs small sizes, to try the script on a CPU.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ebmjax import random_bits, train
from ebmjax.energies import ising
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast import phases
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.loops import repeat
from ebmjax.sample.special import multispin
from ebmjax.sample.special.checkerboard import checkerboard
from ebmjax.sample.special.restricted import binary

UNIFORM_GOAL, BONDS_GOAL, SHARE_GOAL = 450.0, 23.0, 0.5


class Program(NamedTuple):
    """One row of the table."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    work: float
    """Units of work in one call: spin updates, or floating-point operations."""


def programs(small: bool) -> list[Program]:
    """The lattices, a product of matrices, and the training of a machine."""
    side, sweeps = (128, 10) if small else (8192, 500)
    width, updates = (128, 4) if small else (8192, 50)
    key = random_bits.key(0)

    uniform = multispin.lattice(1.0, 0.44, bits=random_bits.hashed, precision=8)
    words = multispin.pack_lattice(_spins((side, side)))
    half = side // 2
    coupling = jax.random.normal(jax.random.key(1), (2, half, half))
    bonds = checkerboard(ising.Params(coupling, jnp.array(0.0)), 0.5, (half, half), random_bits.hashed)
    parts = ising.split(_spins((half, half)))

    left = jax.random.normal(jax.random.key(2), (width, width))
    product = lambda left, right: jax.lax.fori_loop(0, updates, lambda _, x: (x @ right) / width**0.5, left)

    machine = rbm.init(jax.random.key(3), jnp.full(width, 0.2), width)
    data = jax.random.bernoulli(jax.random.key(4), 0.2, (width * updates // 4, width)).astype(jnp.float32)
    means = lambda params, v: rbm.with_hidden_means(params, v, 1.0)
    negative = phases.contrastive_divergence(
        lambda params: binary(params, 1.0), lambda key, v: (v, jnp.zeros(width)), steps=1
    )
    learner = contrastive(
        lambda params, position: rbm.energy(params, *position),
        phases.viewed(phases.observed(), means),
        phases.viewed(negative, lambda params, position: means(params, position[0])),
        optax.sgd(0.05),
    )
    fit = lambda params, data: train(key, learner, params, data, width // 4, 1).params
    # hidden units of the data, their visible units, hidden units of these, and a gradient of each phase
    products = 5 * 2.0 * len(data) * width * width
    run = lambda kernel: lambda position: repeat(key, kernel, kernel.init(position), sweeps).positions
    return [
        Program(f"uniform lattice, {side} x {side}", run(uniform), (words,), float(side * side * sweeps)),
        Program(f"a coupling a bond, {half} x {half}", run(bonds), (parts,), float(half * half * sweeps)),
        Program(f"product of matrices, {width}", product, (left, left), 2.0 * updates * width**3),
        Program(f"CD-1, {width} x {width}, batch {width // 4}", fit, (machine, data), products),
    ]


def rate(program: Program, repeats: int) -> tuple[float, float]:
    """Units of work a nanosecond, and the seconds of compiling."""
    start = time.perf_counter()
    executable = jax.jit(program.function).lower(*program.arguments).compile()
    compiling = time.perf_counter() - start
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(executable(*program.arguments))
        taken.append(time.perf_counter() - start)
    return program.work / statistics.median(taken[1:]) / 1e9, compiling


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table.

    Returns:
        0.

    Raises:
        SystemExit: 2 for an unknown option, 0 after --help.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accelerator", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--small", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--lowered", action="store_true", help="lower for cuda and tpu, and run nothing")
    options = parser.parse_args(arguments)
    device = jax.devices()[0]
    print(f"{device.platform}, {device.device_kind}; jax {jax.__version__}")
    if options.lowered:
        for program in programs(small=True):
            print(f"{program.name}: {lowered(program)}")
        return 0
    rates = []
    for program, unit in zip(programs(options.small), ("updates", "updates", "operations", "operations"), strict=True):
        found, compiling = rate(program, 3)
        rates.append(found)
        print(f"{program.name}: {found:.4g} {unit} a nanosecond, compiled in {compiling:.1f} s", flush=True)
    uniform, bonds, product, learning = rates
    goals = (
        ("uniform lattice", uniform, UNIFORM_GOAL),
        ("a coupling a bond", bonds, BONDS_GOAL),
        ("share of the product in CD-1", learning / product, SHARE_GOAL),
    )
    for name, found, goal in goals:
        print(f"{name}: {found:.3g}, goal {goal:g}: {'reached' if found >= goal else 'not reached'}")
    return 0


def lowered(program: Program) -> str:
    """That a program lowers for other platforms, and what XLA counts in it; the steps of a loop once."""
    traced = jax.jit(program.function).trace(*program.arguments)
    for platform in ("cuda", "tpu"):
        traced.lower(lowering_platforms=(platform,))
    costs: Any = traced.lower().cost_analysis()
    return f"lowers for cuda and tpu; {costs['flops']:.3g} operations, {costs['bytes accessed']:.3g} bytes a step"


def _spins(shape):
    return jax.random.rademacher(jax.random.key(0), shape, jnp.float32)


if __name__ == "__main__":
    raise SystemExit(main())
