"""Run every docstring's example twice in this process and print those that compile anything the second time.

    python -m tests.second_calls [MODULE ...]

It is a script, because the tests' own type checks wrap every function, which makes each a new one at every call.
"""

import contextlib
import doctest
import importlib
import io
import pkgutil
import sys

import jax

import ebmjax

compiled = [0]

# what is called on the host has an identity
OWN = ("jax.jit(", "class ", "@jax.jit", "@compiled", "reported(", "members_that_fit(")


def count(event: str, duration: float, **_: object) -> None:
    if "backend_compile" in event:
        compiled[0] += 1


def modules() -> list[str]:
    """Every public module of the library."""
    return [module.name for module in pkgutil.walk_packages(ebmjax.__path__, "ebmjax.")]


def examples(name: str) -> list[doctest.DocTest]:
    """The examples of docstrings, but for those that compile anew on purpose, or define a class or a report anew."""
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    return [
        test for test in found if test.examples and not any(own in each.source for each in test.examples for own in OWN)
    ]


def run(test: doctest.DocTest) -> tuple[int, bool]:
    """How many programs one run of an example compiles, and whether it prints something else than it shows."""
    before = compiled[0]
    runner = doctest.DocTestRunner(verbose=False)
    with contextlib.redirect_stdout(io.StringIO()):
        failed, _ = runner.run(test, clear_globs=False)
    return compiled[0] - before, bool(failed)


def main(names: list[str]) -> int:
    """Print the names of the examples that compile twice or fail; the exit status is 1 if there are any."""
    jax.monitoring.register_event_duration_secs_listener(count)
    wrong = 0
    for name in names or modules():
        for test in examples(name):
            globals_ = dict(test.globs)
            _, failed = run(test)
            test.globs.clear()
            test.globs.update(globals_)
            again, failed_again = run(test)
            if failed or failed_again:
                wrong += 1
                print(f"{test.name}: the example fails")
            if again:
                wrong += 1
                print(f"{test.name}: the second run compiled {again} programs")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
