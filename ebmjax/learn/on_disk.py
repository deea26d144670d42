"""Numbered checkpoints in a folder, written and read by orbax.

Needs the extra `checkpoint` (orbax-checkpoint), which is imported where it is first used.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from ebmjax.checks import ArgumentError
from ebmjax.learn.stored import check_arrays, check_like, described, from_disk, to_disk
from ebmjax.records import record

if TYPE_CHECKING:
    from orbax.checkpoint import CheckpointManager

FORMAT = "ebmjax checkpoint 3"
"""Of the files; those of another format are refused."""


def write(folder: Path, step: int, state: Any, form: Any) -> None:
    """Save a pytree as checkpoint number `step`, with the form of the parameters of a training, or None.

    Of several processes, which hold the same arrays, the first one writes, and waits for no other.

    Errors are those of `ebmjax.learn.checkpoint.save`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder), 3, {"w": np.zeros(2)}, None)
    ...     found = read(Path(folder))
    >>> found.step, found.described
    (3, [["['w']", 'float64[2]']])
    """
    if jax.process_index():
        return
    ocp = _orbax()
    about = described(state)
    stored = {str(index): to_disk(leaf) for index, leaf in enumerate(jax.tree.leaves(state)) if np.size(leaf)}
    # Orbax saves neither arrays of no elements nor a tree of no arrays.
    arrays = ocp.args.StandardSave(stored or {"none": np.zeros(1)})
    _remove_unfinished(folder)
    with _manager(folder) as manager:
        latest = manager.latest_step()
        least = 0 if latest is None else latest + 1
        if step < least:
            raise ArgumentError(f"step: got {step}, wanted at least {least}, after the latest in {folder}")
        content = {"format": FORMAT, "leaves": about, "params": form, "digest": _digest(stored, about, form)}
        about = ocp.args.JsonSave(content)
        # A full disk or a folder that is gone makes orbax and its storage raise all kinds of errors.
        try:
            manager.save(step, args=ocp.args.Composite(arrays=arrays, about=about), force=True)
        except Exception as error:
            kept = "there is none before it" if latest is None else f"checkpoint {latest} is kept"
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ArgumentError(
                f"folder: got {folder}, where checkpoint {step} cannot be written ({reason}; {kept}), wanted a folder"
                " with room, that can be written"
            ) from error


def _orbax() -> Any:
    """The optional package, imported where it is first used: `import ebmjax` does not need it."""
    try:
        import orbax.checkpoint
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('checkpoints need the extra: python -m pip install "ebmjax[checkpoint]"') from error
    return orbax.checkpoint


@record
class Found(NamedTuple):
    """The latest checkpoint of a folder, as it is on disk."""

    step: int
    described: list[list[str]]
    arrays: dict[str, np.ndarray]
    form: Any
    """Of the parameters of a training, None of anything else."""


def read(folder: Path) -> Found | None:
    """The latest checkpoint of a folder, None where there is none.

    Raises ArgumentError for a damaged checkpoint, or one that `write` has not written.

    >>> read(Path("no such folder")) is None
    True
    """
    if not folder.exists():
        return None
    ocp = _orbax()
    with _manager(folder) as manager:
        step = manager.latest_step()
        if step is None:
            return None
        # A damaged file makes orbax and its storage raise all kinds of errors, which mean the same.
        try:
            found = manager.restore(
                step, args=ocp.args.Composite(arrays=ocp.args.StandardRestore(), about=ocp.args.JsonRestore())
            )
            ours, leaves, form = found.about["format"] == FORMAT, found.about["leaves"], found.about["params"]
            stored = {name: value for name, value in found.arrays.items() if name != "none"}
            whole = not ours or found.about["digest"] == _digest(stored, leaves, form)
        except Exception as error:
            raise ArgumentError(
                f"folder: got {folder}, whose checkpoint {step} is damaged or was not made by `save`"
                f" ({type(error).__name__}), wanted one that `save` made{_before(manager, folder, step)}"
            ) from error
        if not whole:
            raise ArgumentError(
                f"folder: got {folder}, whose checkpoint {step} is damaged: its content is not what was saved, wanted"
                f" a whole one{_before(manager, folder, step)}"
            )
    if not ours:
        raise ArgumentError(
            f"folder: got {folder}, whose checkpoint {step} was not made by `save`, wanted one that was"
        )
    return Found(step, leaves, found.arrays, form)


def _digest(stored: dict[str, Any], about: Any, form: Any) -> str:
    """A SHA-256 of the content, since orbax does not see a byte that has changed within an array."""
    total = hashlib.sha256(json.dumps([about, form], sort_keys=True).encode())
    for name in sorted(stored):
        array = np.asarray(stored[name])
        total.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _before(manager: "CheckpointManager", folder: Path, step: int) -> str:
    """How to go on from the checkpoint before a damaged one, which is kept for this."""
    earlier = [each for each in manager.all_steps() if each < step]
    return f"; without {folder / str(step)} it goes on from checkpoint {max(earlier)}" if earlier else ""


def path_of(folder: Any) -> Path:
    """A folder that a user names, with the home folder for `~`. Raises ArgumentError for what is no path.

    >>> path_of("runs/a").parts
    ('runs', 'a')
    """
    try:
        return Path(folder).expanduser()
    except (TypeError, RuntimeError) as error:
        raise ArgumentError(f"folder: got {folder!r} ({error}), wanted the path of a folder") from None


def _manager(folder: Path) -> "CheckpointManager":
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"folder: got {folder}, which is a file, wanted a folder")
    ocp = _orbax()
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    if jax.process_count() > 1:  # by default all of them would have to save and restore together
        here = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=here, active_processes={here}, barrier_sync_key_prefix=f"process_{here}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        options = dataclasses.replace(options, multiprocessing_options=alone, create=False)
    return ocp.CheckpointManager(folder.absolute(), options=options)


def _remove_unfinished(folder: Path) -> None:
    """Remove checkpoints that a killed process left half written.

    Orbax can do so by itself, but in a thread that may outlive the manager which started it, and which then removes
    what the next manager is writing.
    """
    for unfinished in folder.glob("*.orbax-checkpoint-tmp"):
        shutil.rmtree(unfinished)


def in_the_form_of(like: Any, found: Found, places: Sequence[int], prefix: str, folder: Path) -> Any:
    """The arrays at some places of a checkpoint, as a pytree like `like`; their paths begin with the prefix.

    Raises ArgumentError, naming the leaf, where they are not like `like`.

    >>> found = Found(3, [["['w']", "float64[2]"]], {"0": np.ones(2)}, None)
    >>> in_the_form_of({"w": np.zeros(2)}, found, [0], "", Path("runs"))["w"].tolist()
    [1.0, 1.0]
    """
    check_arrays("like", like)
    saved = [[path.removeprefix(prefix), kind] for path, kind in (found.described[place] for place in places)]
    check_like(like, saved, f"as in checkpoint {found.step} of {folder}")
    leaves, structure = jax.tree.flatten(like)
    rebuilt = [from_disk(found.arrays.get(str(place)), leaf) for place, leaf in zip(places, leaves, strict=True)]
    return jax.tree.unflatten(structure, rebuilt)
