"""A subcommand run in this process."""

import json
from typing import Any
from unittest import mock

from minituner.workflow import cli, settings


def call(
    name: str, *arguments: object, given: dict[str, Any] | None = None, **options: Any
) -> None:
    """Run `minituner NAME`; what it raises comes through.

    Args:
        name: of the subcommand.
        arguments: as they are, in front of the options.
        given: the settings, taken as they are and not held against the schema; None reads them as
            the command line does.
        options: `base=path` stands for `--base path`; a list for several values, True for a flag
            alone; None leaves the option out.
    """
    words = [name, *map(str, arguments)]
    for option, value in options.items():
        flag = f"--{option.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        elif value is not None:
            words += [flag, str(value)]
    args = cli.build_parser(name).parse_args(words)
    if given is None:
        args.run(args)
    else:
        taken = json.loads(json.dumps(given))
        with mock.patch.object(settings, "load", lambda source, *sections: taken):
            args.run(args)
