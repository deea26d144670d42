"""The application around the experiments: what happens between `python -m experiments` and the finished page.

- `cli`: the command line. `catalogue`: the table of experiments. `options`: ranges of options and their checks.
- `new`: an experiment to start from, made of `templates`.
- `report`: the record of one run, which an experiment fills; `records`: its files; `page` (with `page.html` and
  `page.css`), `markdown` and `formatting`: its page; `console`: its progress on the terminal; `streams`:
  standard output that cannot end a run.
- `everything` runs all experiments, and `gallery` (with `gallery.html`) is the page of their cards; `repeating`: the
  command that repeats a run.
- `comparison` (with `compare.html`) and `comparison_pictures`: runs side by side on one page; `directions`: which
  figures are better when they are lower; `series`: metrics.jsonl as curves; `events`: the same for TensorBoard.
- `processes`: several processes for one run; `spread`: the members of a sweep over their devices.
- `watched`: training with measurements and checkpoints. `compilation_cache` and `compile_clock`: compiled programs on
  disk, and the time of compiling.
"""
