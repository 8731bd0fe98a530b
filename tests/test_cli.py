"""The command line: what it passes on, and how it ends when something goes wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minituner.commands import live
from minituner.foundation import errors
from minituner.workflow import cli

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "minituner", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        **options,
    )


def fails_with(monkeypatch, error):
    def validate(args):
        raise error

    monkeypatch.setattr(live, "_validate", validate)
    return cli.main(["validate"])


def test_valid_settings_get_one_line():
    done = run("validate")
    assert (done.returncode, done.stdout, done.stderr) == (0, "params.yaml: valid\n", "")


def test_the_users_error_is_one_line_and_status_2(monkeypatch, capsys):
    assert fails_with(monkeypatch, errors.UserError("file: field: wrong;\n mend it")) == 2
    captured = capsys.readouterr()
    assert captured.err == "minituner: error: file: field: wrong; mend it\n"
    assert captured.out == ""


@pytest.mark.parametrize(
    "error, expected",
    [
        (PermissionError(13, "Permission denied", "results/x"), "results/x: Permission denied"),
        (OSError(28, "No space left on device", "results/x"), "results/x: No space left on device"),
        (OSError("odd"), "odd"),
    ],
)
def test_what_the_system_refuses_is_one_line_with_the_file(monkeypatch, capsys, error, expected):
    assert fails_with(monkeypatch, error) == 2
    assert capsys.readouterr().err.startswith(f"minituner: error: {expected}; ")


def test_ctrl_c_ends_quietly_with_130(monkeypatch, capsys):
    assert fails_with(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_a_closed_pipe_is_no_fault():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "minituner", "validate"],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_bug_is_not_dressed_up_as_the_users_error(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        fails_with(monkeypatch, ZeroDivisionError())


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ((), "required: COMMAND"),
        (("corpse",), "invalid choice: 'corpse'"),
        (("train", "--rank", "0"), "argument --rank: '0' is no integer above 0; use at least 1"),
    ],
)
def test_a_wrong_command_line_is_one_line_that_says_where_to_look(arguments, expected):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("minituner: error: ") and done.stderr.count("\n") == 1
    assert expected in done.stderr and "--help`" in done.stderr


@pytest.mark.parametrize(
    "method, rank, expected",
    [("lora", (), "--rank: missing for"), ("full", ("--rank", "1"), "--rank: has no meaning for")],
)
def test_a_rank_goes_with_an_adapter_and_only_with_one(method, rank, expected, capsys):
    arguments = ["--base", "b", "--irregular", "i", "--out", "o", "--seed", "0"]
    assert cli.main(["train", *arguments, "--method", method, *rank]) == 2
    assert expected in capsys.readouterr().err


def test_making_the_corpus_and_checking_settings_do_not_load_torch():
    code = (
        "import sys; from minituner.workflow import cli; "
        "from minituner.corpus import generate, subsets; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
