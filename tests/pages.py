"""The Python blocks of a page, run one after the other in one namespace, and what each of them prints.

A block of `text` below it shows what it prints. `python -m tests.pages PAGE ...` runs pages and writes these blocks
anew, and puts the pictures that a page draws into `docs/pictures`.
"""

import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import jax

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/pictures"
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<printed>.*?)^```\n)?", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?")


def run(text, name):
    """Run all blocks of a page in the present folder; for each its match and the text that it printed."""
    names = {"__name__": "__main__"}  # what a script has at its top level is not constant for `ebmjax.compiled`
    for block in BLOCK.finditer(text):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), jax.numpy_rank_promotion("allow"):
            code = "\n" * text[: block.start("code")].count("\n") + block["code"]  # errors show lines of the page
            exec(compile(code, name, "exec"), names)
            jax.effects_barrier()
        yield block, printed.getvalue()


def agree(said, printed, share=0.1):
    """Whether two texts are the same but for numbers, and these within a share of the larger or their last digit."""
    if NUMBER.sub("#", said).split() != NUMBER.sub("#", printed).split():
        return False
    pairs = zip(NUMBER.findall(said), NUMBER.findall(printed), strict=True)
    return all(abs(float(a) - float(b)) <= max(share * abs(float(a)), 1.01 * unit(a)) for a, b in pairs)


def unit(number):
    """One in the last digit that is written."""
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])) if "." in number else 0.0


def rewrite(path):
    """Run a page and write what it prints into it, and the pictures that it draws into `docs/pictures`."""
    text, end, parts = path.read_text(), 0, []
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for block, printed in run(text, str(path)):
                parts += [text[end : block.start()], "```python\n", block["code"], "```\n"]
                parts += ["\n```text\n", printed, "```\n"] if printed and block["printed"] is not None else []
                end = block.end()
        finally:
            os.chdir(home)
        for picture in Path(folder).glob("*.png"):
            shutil.copy(picture, PICTURES / picture.name)
    path.write_text("".join(parts) + text[end:])


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        started = time.perf_counter()
        rewrite(Path(argument).resolve())
        print(f"{argument}: {time.perf_counter() - started:.1f} s")
