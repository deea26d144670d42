"""The application around the experiments: what happens between `python -m experiments` and the finished page.

- `cli`: the command line. `catalogue`: the table of experiments. `options`: ranges of options and their checks.
- `new`: an experiment to start from, made of `templates`.
- `report`: the record of one run, which an experiment fills; `records`: its files; `page` (with `page.html` and
  `page.css`), `markdown` and `formatting`: its page; `console`: its progress on the terminal; `streams`:
  standard output that cannot end a run.
- `watched`: training with measurements and checkpoints. `compilation_cache` and `compile_clock`: compiled programs on
  disk, and the time of compiling.
"""
