"""The command line: what it passes on, and how it ends when something goes wrong."""

import ast
import json
import os
import signal
import subprocess
import sys

import pytest
import yaml

from minituner.commands import validate
from minituner.foundation.errors import UserError
from minituner.workflow import cli
from tests.support.tiny_project import ROOT

SETTINGS = str(ROOT / "params.yaml")


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "minituner", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        **options,
    )


def fails_with(monkeypatch, error, *arguments):
    def run(args):
        print("begun")
        raise error

    monkeypatch.setattr(validate, "run", run)
    return cli.main(["validate", *arguments])


def test_valid_settings_get_one_line():
    done = run("validate")
    assert (done.returncode, done.stdout, done.stderr) == (0, "params.yaml: valid\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_a_terminal_that_lacks_a_character_is_shown_its_number(encoding, tried):
    done = run("--help", env=os.environ | {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: minituner COMMAND \\u2026\n")
    tried("a terminal that is not UTF-8", "httpie/cli#1411", "shown the character's number")


def test_without_a_locale_the_same_bytes_are_read_and_written(tmp_path, tried):
    """LC_ALL=C, with what Python does about it turned off: files are UTF-8 all the same."""
    tables = [str(ROOT / "examples" / "spanish" / f"{name}.csv") for name in ("verbs", "templates")]
    section = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["corpus"]
    given = json.dumps({"corpus": section | {"noise": {}}})
    command = ["corpus", "--verbs", tables[0], "--templates", tables[1], "--settings", given]
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for name, environment in (("a", {}), ("b", bare)):
        done = run(*command, "--out", tmp_path / f"{name}.parquet", env=os.environ | environment)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    tried("`LC_ALL=C`", "", "the same bytes")


def test_under_python_oo_without_docstrings_and_asserts_all_is_the_same(tried):
    command = [sys.executable, "-OO", "-m", "minituner"]
    for arguments in (["validate"], ["validate", "--help"], ["--help"]):
        done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout
    for path in (ROOT / "minituner").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), path
    tried("`python -OO`", "huggingface/transformers#36045", "works")


def test_the_code_of_one_checkout_does_not_work_in_another_without_a_word(
    tmp_path, monkeypatch, capsys, tried
):
    """As it is where both share an environment, whose command is that of the one installed last."""
    other = tmp_path / "other"
    for folder in (other / "minituner" / "workflow", other / "examples" / "mine"):
        folder.mkdir(parents=True)
    (other / "minituner" / "workflow" / "cli.py").touch()
    for folder in (other, other / "examples" / "mine"):
        monkeypatch.chdir(folder)
        assert cli.main(["validate", SETTINGS]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"minituner: error: {other}: ") and f", {ROOT}; run" in said
    monkeypatch.chdir(tmp_path)
    assert cli.main(["counts", "--shape", "llama-7b", "--rank", "8"]) == 0
    tried("two checkouts that share an environment", "manavgup/wikimind#66", "refused, both named")


def test_the_users_error_is_one_line_and_status_2(monkeypatch, capsys):
    assert fails_with(monkeypatch, UserError("file: field: wrong;\n mend it")) == 2
    captured = capsys.readouterr()
    assert captured.err == "minituner: error: file: field: wrong; mend it\n"
    assert captured.out == "begun\n"


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


@pytest.mark.parametrize(
    "words",
    [
        "merge --base ./m --adapter a --out m",
        "merge --base m --adapter a --out m/../a",
        "quantize --base m --out m",
        "train --method full --seed 0 --base m --irregular i --out m",
        "base --corpus c --out c",
        "evaluate --base m --irregular i --control c --out i",
    ],
)
def test_no_command_writes_over_what_it_reads(words, capsys):
    assert cli.main(words.split()) == 2
    said = capsys.readouterr().err
    assert "--out: " in said and "would be overwritten; name another path" in said


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
        "import sys; from minituner.workflow import cli; cli.build_parser(); "
        "from minituner.corpus import generate, subsets; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_job_loads_no_other_command():
    code = (
        "import sys; from minituner.workflow import cli; cli.build_parser('corpus'); "
        "print(*(n for n in sys.modules if n.startswith('minituner.commands.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["minituner.commands.corpus"]


def test_with_a_log_what_is_printed_goes_there_alone(tmp_path, capsys):
    log = tmp_path / "folder" / "validate.log"
    assert cli.main(["validate", SETTINGS, "--log", str(log)]) == 0
    assert log.read_text(encoding="utf-8") == f"{SETTINGS}: valid\n"
    assert capsys.readouterr() == ("", "")


def test_a_log_is_added_to_and_never_overwritten(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("what was there\n", encoding="utf-8")
    assert cli.main(["validate", SETTINGS, "--log", str(log)]) == 0
    assert cli.main(["validate", SETTINGS, "--log", str(log)]) == 0
    valid = f"{SETTINGS}: valid\n"
    assert log.read_text(encoding="utf-8") == f"what was there\n{valid}{valid}"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("file: field: wrong; mend it"), "file: field: wrong; mend it"),
        (OSError(28, "No space left on device", "results/x"), "results/x: No space left on device"),
        (MemoryError(), "out of memory"),
    ],
)
def test_an_error_is_in_the_log_and_on_the_terminal(tmp_path, monkeypatch, capsys, error, line):
    log = tmp_path / "a.log"
    assert fails_with(monkeypatch, error, "--log", str(log)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"minituner: error: {line}") and captured.err.count("\n") == 1
    assert captured.out == ""
    assert log.read_text(encoding="utf-8") == f"begun\n{captured.err}"


def test_a_bugs_traceback_is_in_the_log_and_on_the_terminal(tmp_path):
    log = tmp_path / "a.log"
    code = (
        "import sys; from minituner.commands import validate; from minituner.workflow import cli\n"
        "validate.run = lambda args: 1 / 0\n"
        f"cli.main(['validate', '--log', {str(log)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    for text in (done.stderr, log.read_text(encoding="utf-8")):
        assert text.startswith("Traceback (most recent call last):\n")
        assert text.endswith("\nZeroDivisionError: division by zero\n")
        assert text.count("Traceback") == 1


@pytest.mark.parametrize("log", ["folder", "file/a.log"])
def test_a_log_that_cannot_be_written_is_one_line_and_nothing_runs(
    tmp_path, monkeypatch, capsys, log
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("a file")
    assert fails_with(monkeypatch, ZeroDivisionError(), "--log", str(tmp_path / log)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"minituner: error: {tmp_path}/")
    assert captured.err.count("\n") == 1 and captured.out == ""


def test_no_progress_bar_gets_into_a_log(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with cli.logged(tmp_path / "a.log"):
        assert not sys.stderr.isatty() and not sys.stdout.isatty()
    assert sys.stderr.isatty()
