"""Settings: read from params.yaml or an inline JSON object, checked, every error one line.

A *section* is a top-level key of params.yaml ("lora") or one key inside it ("sweep.ranks"). A stage
is handed its sections and nothing else, so it cannot depend on a setting that its rule, and hence
Snakemake and DVC, do not know of.
"""

import copy
import difflib
import functools
import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from minituner.foundation.errors import UserError
from minituner.workflow.reading import read

SCHEMA = Path(__file__).with_name("params.schema.yaml")
PLAIN = {"number": "0.001", "integer": "1000", "boolean": "true"}
COMBINED = "settings"  # what Snakemake made of params.yaml, --configfile and --config


def load(source: str | Path, *sections: str) -> dict[str, Any]:
    """Read settings and check them.

    Args:
        source: path of a YAML file with every section, or a JSON object (starting with "{").
        sections: what to return; a path such as "sweep.ranks" returns {"sweep": {"ranks": …}}.
            Without any, the whole settings are checked and returned.

    Raises:
        UserError: if the source cannot be read, a section is missing or a value is not valid.
    """
    config, name = read(source)
    if not sections:
        validate(config, name)
        return config
    wanted = select(config, *sections, source=name)
    _check_schema(wanted, _schema_of(sections), name)
    return wanted


def select(config: Any, *sections: str, source: str = "settings") -> dict[str, Any]:
    """Only these sections of the settings: ("lora", "sweep.ranks") → {"lora": …, "sweep": {…}}.

    Raises:
        UserError: if a section is missing.
    """
    wanted: dict[str, Any] = {}
    for section in sections:
        top, _, key = section.partition(".")
        if top not in _mapping(config, "", source) or (
            key and key not in _mapping(config[top], top, source)
        ):
            raise UserError(
                f"{source}: {section}: missing; add it (see minituner/workflow/params.schema.yaml)"
            )
        if key:
            wanted.setdefault(top, {})[key] = config[top][key]
        else:
            wanted[top] = config[top]
    return wanted


def validate(config: Any, source: str = "params.yaml") -> None:
    """Check the whole settings against the schema, then field against field.

    Raises:
        UserError: naming `source`, the field, what is wrong and the remedy.
    """
    _check_schema(config, _schema(), source)
    for field, problem, remedy in _conflicts(config):
        raise UserError(f"{source}: {field}: {problem}; {remedy}")


def _mapping(value: Any, field: str, source: str) -> dict:
    if not isinstance(value, dict):
        raise UserError(
            f"{source}: {field or 'top level'}: {_show(value)} is not a section of keys"
        )
    return value


@functools.cache
def _schema() -> dict[str, Any]:
    """Read once, in C where PyYAML has it: every job and every call of Snakemake waits for it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(SCHEMA.read_text(encoding="utf-8"), loader)


def _schema_of(sections: Iterable[str]) -> dict[str, Any]:
    """The schema cut down to some sections: nothing else is allowed, all of them are required."""
    full = _schema()
    cut = {**full, "required": [], "properties": {}}
    for section in sections:
        top, _, key = section.partition(".")
        whole = copy.deepcopy(full["properties"][top])
        if not key:
            cut["properties"][top] = whole
        else:
            part = cut["properties"].setdefault(top, {**whole, "required": []})
            part["required"].append(key)
    return cut


@functools.cache
def _validator() -> Any:
    """Of schemas for which 1.0 is no integer, since it would name a run, and NaN no number."""
    # Imported here: it takes a while, and the Snakefile imports this module on each start.
    from jsonschema import Draft202012Validator, validators

    def integer(checker: Any, value: Any) -> bool:
        return type(value) is int

    def number(checker: Any, value: Any) -> bool:
        return type(value) is int or (type(value) is float and math.isfinite(value))

    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": integer, "number": number})
    return validators.extend(Draft202012Validator, type_checker=types)


def _check_schema(config: Any, schema: dict[str, Any], source: str) -> None:
    _mapping(config, "", source)
    violations = _validator()(schema).iter_errors(config)
    errors = sorted(violations, key=lambda error: list(map(str, error.path)))
    for error in errors:
        field = _field(error.absolute_path)
        value = error.instance
        if error.validator == "additionalProperties":
            known = sorted(error.schema["properties"])
            unknown = sorted(map(str, set(value) - set(known)))[0]
            near = difflib.get_close_matches(unknown, known, 1)
            remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise UserError(f"{source}: {_join(field, unknown)}: unknown key; {remedy}")
        if error.validator == "required":
            missing = next(key for key in error.validator_value if key not in value)
            raise UserError(
                f"{source}: {_join(field, missing)}: missing; "
                "add it (see minituner/workflow/params.schema.yaml)"
            )
        problem, remedy = _explain(error.validator, error.validator_value, value)
        remedy = error.schema.get("description", remedy)
        if source == COMBINED and (value in ("null", "true", "false") or "is text" in problem):
            remedy = "give it in a file by --configfile, since all inside {} of --config is text"
        raise UserError(f"{source}: {field}: {_show(value)} {problem}; {remedy}")


def _explain(keyword: str, bound: Any, value: Any) -> tuple[str, str]:
    """What is wrong and what to do, for a violated keyword of the schema."""
    if keyword == "type":
        kinds = " or ".join([bound] if isinstance(bound, str) else bound)
        if isinstance(value, str) and bound in PLAIN:
            return f"is text, not of type {kinds}", f"write it plainly, such as {PLAIN[bound]}"
        return f"is not of type {kinds}", f"give a value of type {kinds}"
    if keyword in ("minimum", "exclusiveMinimum"):
        return "is too small", f"use {'at least' if keyword == 'minimum' else 'more than'} {bound}"
    if keyword in ("maximum", "exclusiveMaximum"):
        return "is too large", f"use {'at most' if keyword == 'maximum' else 'less than'} {bound}"
    if keyword == "enum":
        near = difflib.get_close_matches(str(value), map(str, bound), 1)
        hint = f"did you mean {near[0]}? " if near else ""
        return "is not known", f"{hint}choose among {', '.join(map(str, bound))}"
    if keyword == "uniqueItems":
        return "holds a value twice", "keep one of each"
    if keyword in ("minItems", "maxItems", "minLength"):
        return "has the wrong length", f"give {keyword[:3]}imum {bound}"
    if keyword == "pattern":
        return f"does not match {bound}", "put your files into such a folder and name it here"
    return f"breaks the schema's {keyword}: {bound}", "see minituner/workflow/params.schema.yaml"


def _conflicts(config: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What the schema cannot say: field, problem, remedy."""
    # Where `dvc exp run --temp` works lies only what git knows.
    copied = ".dvc" in Path.cwd().parts
    for key in ["file"] if config["corpus"]["file"] else ["verbs", "templates"]:
        path = config["corpus"][key]
        if not os.path.isfile(path):
            remedy = f"add `--copy-paths {path}`" if copied else "name an existing file"
            yield f"corpus.{key}", f"no such file: {path}", remedy
    splits = config["corpus"]["splits"]
    if abs(sum(splits.values()) - 1) > 1e-9:
        yield "corpus.splits", f"sum to {sum(splits.values()):g}", "make them sum to 1"
    model, sweep = config["model"], config["sweep"]
    if model["d_model"] % model["n_head"]:
        yield (
            "model.n_head",
            f"{model['n_head']} does not divide model.d_model = {model['d_model']}",
            "choose a divisor",
        )
    for field in ("sweep.ranks", "science.convention_ranks"):
        section, name = field.split(".")
        for index, rank in enumerate(config[section][name]):
            if rank > model["d_model"]:
                yield (
                    f"{field}[{index}]",
                    f"rank {rank} is above the layer's width, model.d_model = {model['d_model']}",
                    f"use at most {model['d_model']}",
                )
    for index, rank in enumerate(sweep["qlora_ranks"]):
        if rank not in sweep["ranks"]:
            yield (
                f"sweep.qlora_ranks[{index}]",
                f"rank {rank} is not in sweep.ranks, so QLoRA has no LoRA to be compared with",
                "add it there or drop it here",
            )
    checkpoint = config["base"]["checkpoint"]
    for file in ("model.safetensors", "config.json"):
        if checkpoint and not os.path.isfile(Path(checkpoint) / file):
            yield (
                "base.checkpoint",
                f"no such file: {Path(checkpoint) / file}",
                f"add `--copy-paths {checkpoint}`"
                if copied
                else "name a folder that holds model.safetensors and config.json, or null",
            )


def _field(path: Iterable[str | int]) -> str:
    """A path as people write it: sweep.ranks[2]."""
    field = ""
    for part in path:
        field = f"{field}[{part}]" if isinstance(part, int) else _join(field, part)
    return field or "top level"


def _join(field: str, key: str) -> str:
    return key if field in ("", "top level") else f"{field}.{key}"


def _show(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else shown[:57] + "…"
