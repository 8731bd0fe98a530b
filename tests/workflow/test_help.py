"""Help that teaches, completion of the shell, and jobs that load nothing of either."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from minituner.commands import completion
from minituner.workflow import cli, help
from tests.support.tiny_project import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def sources_of_stages():
    """The commands whose files some stage depends on."""
    listed = {dep for stage in STAGES.values() for dep in stage["deps"]}
    return {Path(dep).stem for dep in listed if dep.startswith("minituner/commands/")}


def commands():
    parser = cli.build_parser()
    return next(a for a in parser._actions if hasattr(a, "choices") and a.choices).choices


def test_help_lists_every_command_once_in_its_group(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    listed = [line.split()[0] for line in shown.splitlines() if line.startswith("  ")]
    for name in commands():
        assert listed.count(name) == 1, name
    for title in (*help.GROUPS, "Examples"):
        assert f"\n{title}:\n" in shown
    assert {name for names in help.GROUPS.values() for name in names} <= set(commands())


def test_every_example_in_the_help_is_a_command_line_that_parses():
    text = help.EXAMPLES + "".join(sub.epilog or "" for sub in commands().values())
    lines = [line.split("   ")[0].split(" && ")[0].strip() for line in text.splitlines()]
    tried = 0
    for line in lines:
        if line.startswith("minituner ") and ">" not in line:
            cli.build_parser().parse_args(shlex.split(line)[1:])
            tried += 1
    assert tried >= 8


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_completion_of_a_shell_knows_the_commands(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name in ("conjugate", "compare", "train"):
        assert name in script


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_completes_a_command_and_an_option(capsys, tmp_path):
    cli.main(["completion", "bash"])
    script = tmp_path / "minituner.bash"
    script.write_text(capsys.readouterr().out)

    def completed(*words):
        line = " ".join(f"'{word}'" for word in words)
        code = (
            f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1};"
            "_shtab_minituner; echo ${COMPREPLY[@]}"
        )
        return subprocess.run(["bash", "-c", code], capture_output=True, text=True).stdout.split()

    assert completed("minituner", "conj") == ["conjugate"]
    assert "--tense" in completed("minituner", "conjugate", "--t")


def test_a_stages_job_loads_nothing_that_is_for_people():
    code = (
        "import sys; from minituner.workflow import cli;"
        "cli.main(['gate', '--judged', 'no', '--out', 'no']);"
        "print(*(n for n in sys.modules if n.startswith('minituner.commands.')));"
        "sys.exit(bool({'minituner.workflow.help', 'shtab'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert done.stdout.split() == ["minituner.commands.gate"]


def test_the_words_that_explain_a_stage_stand_where_no_job_loads_them(capsys):
    """Or a better word would make both tools run the stage again."""
    stages_files = sources_of_stages()
    assert set(help.STAGES) <= set(commands())
    for name, sub in commands().items():
        if name in stages_files:
            text = (ROOT / "minituner" / "commands" / f"{name}.py").read_text(encoding="utf-8")
            assert "help=" not in text and "EXAMPLES" not in text, name
            assert name in help.STAGES, name
        options = {s for action in sub._actions for s in (*action.option_strings, action.dest)}
        assert set(help.STAGES.get(name, {})) - {"", "examples"} <= options, name


def test_a_commands_help_has_the_words_of_its_stage_and_the_settings_it_reads(capsys):
    for name, words in help.STAGES.items():
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        for text in (*words.values(), *getattr(cli.command(name), "SETTINGS", ())):
            assert " ".join(text.split()) in shown, (name, text)
