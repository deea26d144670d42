"""The package opens: every public module by its dotted name after `import ebmjax`, in a process of its own."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ebmjax

OPEN_ALL = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "orbax":
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocked())
import ebmjax as ebm

missing = []
for name in sys.argv[1:]:
    place = ebm
    for part in name.split(".")[1:]:
        if part not in dir(place):
            missing.append(f"{name}: dir() of {place.__name__} does not show {part}")
        place = getattr(place, part, None)
        if place is None:
            missing.append(f"{name}: does not open")
            break
print("\\n".join(missing))
"""


def modules():
    return [module.name for module in pkgutil.walk_packages(ebmjax.__path__, "ebmjax.")]


@pytest.mark.slow
def test_every_module_opens_by_its_dotted_name_without_the_optional_orbax():
    environment_free = [sys.executable, "-c", OPEN_ALL, *modules()]
    ended = subprocess.run(environment_free, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert (ended.returncode, ended.stdout.strip()) == (0, ""), ended.stdout + ended.stderr


def test_checkpoints_without_orbax_name_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "orbax", None)
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(ModuleNotFoundError, match=r"ebmjax\[checkpoint\]"):
        ebmjax.learn.checkpoint.save(tmp_path, 0, {"w": 1.0})


def test_the_everyday_names_are_those_of_all_four_verbs():
    assert sorted(ebmjax.__all__) == ebmjax.__all__
    for name in ebmjax.__all__:
        assert hasattr(ebmjax, name)
    verbs = {
        "minimize": {"gradient_descent", "newton", "refined_search"},
        "marginalize": {"free_energy", "posterior", "log_partition", "marginal", "refine", "circle", "weighted"},
        "sample": {"metropolis", "hamiltonian", "trajectory"},
        "learn": {"gradient", "contrastive", "train"},
    }
    for verb, names in verbs.items():
        assert {verb} | names <= set(ebmjax.__all__)


def test_types_are_marked_as_complete():
    assert (Path(ebmjax.__file__).parent / "py.typed").exists()
