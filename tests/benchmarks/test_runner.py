"""The runner on sides that cost nothing: records, refusals, and that a peer that disagrees is an error."""

import json
import time

import numpy as np
import pytest

from benchmarks import cli, runner
from benchmarks.runner import Case, Outcome, Side


def side(value, objective=1.0, **options):
    return Side(lambda: lambda: Outcome(np.array(value), objective), **options)


def agree(ours, peer):
    np.testing.assert_allclose(ours.result, peer.result)


def case(peers, **options):
    return Case("adding numbers", "sum", side(1.0, 0.25), peers, agree, **options)


def options(tmp_path, words=""):
    return cli.Options("latent", json=tmp_path / "records.json", case=words, repeats=3)


def test_records_have_the_agreed_fields(tmp_path, capsys):
    cases = [case({"torch": side(1.0, 0.5, version="2.13.0", per_call=10)}, note="a note")]
    assert runner.run("latent", cases, options(tmp_path), "core 0") == 0
    (record,) = json.loads((tmp_path / "records.json").read_text())
    assert list(record) == [
        *("group", "case", "ours", "peer", "peer_name", "peer_version"),
        *("ratio", "ratio_min", "ratio_max", "objective_ours", "objective_peer"),
    ]
    assert record["group"] == "latent"
    assert record["case"] == "adding numbers"
    assert (record["peer_name"], record["peer_version"]) == ("torch", "2.13.0")
    assert (record["objective_ours"], record["objective_peer"]) == (0.25, 0.5)
    assert 0 < record["ratio_min"] <= record["ratio"] <= record["ratio_max"]
    printed = capsys.readouterr().out
    assert "a note" in printed
    assert "compiled in" in printed


def test_a_ratio_above_one_says_that_ours_is_faster():
    """The peer rests for 5 ms, ours for none: which side is which, not how fast."""
    slow = Side(lambda: lambda: (time.sleep(5e-3), Outcome(np.array(1.0), 1.0))[1])
    (record,) = runner.compare("latent", case({"torch": slow}), repeats=3)
    assert record.peer > 4e-3 > record.ours
    assert record.ratio > 1


def test_variants_of_a_peer_share_its_name_and_others_stay_out_of_the_json(tmp_path):
    cases = [case({"torch:slow": side(1.0), "jax.random.bits": side(1.0)})]
    assert runner.run("latent", cases, options(tmp_path), "core 0") == 0
    assert [record["peer_name"] for record in json.loads((tmp_path / "records.json").read_text())] == ["torch"]


def test_a_peer_that_disagrees_is_an_error_and_no_row(tmp_path, capsys):
    assert runner.run("latent", [case({"torch": side(2.0)})], options(tmp_path), "core 0") == 1
    assert json.loads((tmp_path / "records.json").read_text()) == []
    assert "DISAGREEMENT" in capsys.readouterr().out


def test_a_missing_peer_is_said_aloud(tmp_path, capsys):
    runner.run("latent", [case({}, missing=("torch",))], options(tmp_path), "core 0")
    assert "torch is not installed, its row is skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nothing"],
            "wanted one of latent, spins, sparse, neural, free_energy, samplers, scaling, or list",
        ),
        (["latent", "--repeats", "1"], "--repeats: got 1, wanted at least 3"),
        (["latent", "--fast"], "Unrecognized options: --fast"),
        ([], "Missing from python -m benchmarks: GROUP"),
    ],
)
def test_bad_options_are_named_and_exit_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    # tyro draws a box, whose lines are joined here
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_file_that_cannot_be_written_is_refused_in_one_line(capsys):
    assert cli.main(["latent", "--json", "/proc/none/records.json"]) == 2
    said = capsys.readouterr().err
    assert "wanted a file that can be written" in said
    assert said.count("\n") == 1


def test_words_that_no_case_has(tmp_path):
    with pytest.raises(ValueError, match="--case: got 'xyz'"):
        runner.run("latent", [case({})], options(tmp_path, "xyz"), "core 0")


def test_list(capsys):
    assert cli.main(["list"]) == 0
    assert "latent" in capsys.readouterr().out
