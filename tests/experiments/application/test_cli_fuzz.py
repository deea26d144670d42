"""Any command line: a line of ours, or tyro's box, and nothing is written outside of the chosen folder.

`EBMJAX_FUZZ=4000 python -m pytest -n0 tests/experiments/application/test_cli_fuzz.py` tries 200 of them.
"""

import os

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from experiments.application import cli
from tests.experiments.application.fakes import contents

EXAMPLES = int(os.environ.get("EBMJAX_FUZZ", "400")) // 20
WORDS = ["--points", "--betas", "--fail", "--seed", "--quick", "--resume", "--overwrite", "--help", "--", "-1", "1e999"]
VALUES = ["../../x", "; touch x", "$(touch x)", "\udcff", "[red]", "{}", "nan", "%s", "", "\n", "9" * 5000]
ARGUMENTS = st.lists(st.sampled_from(WORDS + VALUES) | st.text(max_size=6), max_size=5)


def test_no_command_line_ends_in_any_other_way(fake, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
    # a folder that no run may use, so that what is well-formed is refused as well
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.json").write_text("mine")
    before = contents(tmp_path)

    @seed(0)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(["fake", "fake", "fake", "../fake", "fake\n"]), ARGUMENTS)
    def call(name, arguments):
        try:
            status = cli.main([name, *arguments, "--out", "mine"])
        except SystemExit as stop:
            status = stop.code
            assert "--help" in arguments or status == 2
        else:
            assert status == 2
            assert capsys.readouterr().err.count("\n") == 1
        capsys.readouterr()
        assert fake.RUNS == []
        assert contents(tmp_path) == before

    call()
