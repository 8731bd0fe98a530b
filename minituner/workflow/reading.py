"""Settings as they are written, in YAML or as one JSON object: what would be misread is an error.

PyYAML and Snakemake read YAML 1.1, DVC reads YAML 1.2. Where these differ, a number is what it
looks like.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from minituner.foundation.errors import UserError
from minituner.foundation.text import parse_json, read_text

# Small numbers as DVC and Python write them, 5e-05: text in YAML 1.1, which wants a point.
EXPONENT = re.compile(r"[-+]?([0-9]+(_[0-9]+)*\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")


class _Loader(yaml.SafeLoader):
    """Plain YAML, except that a key given twice is an error and not the last one's win.

    Aliases are errors too: a few of them, one inside the other, stand for more than memory holds.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            place = f"line {event.start_mark.line + 1}: *{event.anchor}"
            raise UserError(f"{place}: an alias; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise UserError(f"line {key.start_mark.line + 1}: {name}: given twice; keep one")
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """A number as it looks: in YAML 1.1 alone 010 is 8, and 1:30 is 90."""
        if re.match(r"[-+]?0[\d_]", node.value) or ":" in node.value:
            line = node.start_mark.line + 1
            raise UserError(f"line {line}: {node.value}: no plain number; write it without 0 or :")
        if node.tag.endswith("int"):
            return self.construct_yaml_int(node)
        return self.construct_yaml_float(node)


for kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{kind}", _Loader.construct_number)


def read(source: str | Path) -> tuple[Any, str]:
    """What a file or a JSON object says, and the name of the source for messages.

    Args:
        source: path of a YAML file, or a JSON object (starting with "{").

    Raises:
        UserError: if it cannot be read or is not valid, with the line.
    """
    text, name = str(source), str(source)
    if text.lstrip().startswith("{"):
        name = "--settings"
        try:
            return with_numbers(parse_json(text)), name
        except (ValueError, RecursionError) as error:
            raise UserError(f"{name}: not valid JSON ({error}); quote it as one argument") from None
    text = read_text(source, "run in the project's folder")
    try:
        return with_numbers(yaml.load(text, _Loader)), name
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UserError(f"{name}: {place}not valid YAML ({problem}); mend that line") from None
    except RecursionError:
        raise UserError(f"{name}: not valid YAML (nested too deeply); flatten it") from None
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        # What PyYAML's own constructors let out, of dates such as 2020-13-45 for instance.
        problem = " ".join(str(error).split())
        raise UserError(f"{name}: not valid YAML ({problem}); mend that value") from None


def with_numbers(value: Any) -> Any:
    """The same settings, numbers that were taken for text for having an `EXPONENT` as numbers."""
    if isinstance(value, dict):
        return {key: with_numbers(member) for key, member in value.items()}
    if isinstance(value, list):
        return [with_numbers(member) for member in value]
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value
