"""Print a script that completes commands in your shell."""

import argparse

SHELLS = {
    "bash": 'eval "$(minituner completion bash)"   # in ~/.bashrc',
    "zsh": "minituner completion zsh > ~/.zfunc/_minituner   # a folder of $fpath",
    "tcsh": "minituner completion tcsh > ~/.minituner.tcsh   # and source it in ~/.tcshrc",
}
EXAMPLES = "\n".join(SHELLS.values())


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("shell", choices=sorted(SHELLS))


def run(args: argparse.Namespace) -> None:
    """Print the script."""
    import shtab

    from minituner.workflow import cli

    print(shtab.complete(cli.build_parser(), args.shell))
