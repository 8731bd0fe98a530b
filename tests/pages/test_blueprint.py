"""minituner/BLUEPRINT.md against the code: signatures, names, errors, values, and its examples."""

import doctest
import importlib
import inspect
import re
import types

import pytest

from tests.support.tiny_project import ROOT
from tests.test_textbook import TEXTBOOK

PAGE = ROOT / "minituner" / "BLUEPRINT.md"
TEXT = PAGE.read_text(encoding="utf-8")
# Of these rooms the page has what a user of the textbook needs; of the textbook it has everything.
PARTLY = {
    "checkpoints.models": {"save_model", "load_model"},
    "checkpoints.adapters": {"save_adapter", "load_adapter", "load_on_base"},
    "compute": {"accelerate"},
}
FOR_PYTORCH = {"extra_repr"}  # a hook of nn.Module, called by print
CHAPTERS = dict(
    re.findall(r"(?ms)^## `minituner\.([\w.]+)`\n(.*?)(?=^## |\Z)", TEXT.partition("# A whole")[2])
)
SECTIONS = {
    (module, heading): body
    for module, chapter in CHAPTERS.items()
    for heading, body in re.findall(r"(?ms)^### `(.*?)`\n(.*?)(?=^### |\Z)", chapter)
}
PROMISED = re.findall(r"(?m)^\| `([\w.]+)\((.*)\)` \| `minituner\.(\w+)` \|$", TEXT)


def module_of(name):
    return importlib.import_module(f"minituner.{name}")


def names_of(name):
    """What a module of the textbook defines and does not hide, methods and properties too."""
    module = module_of(name)
    for public, value in vars(module).items():
        if public.startswith("_") or isinstance(value, types.ModuleType):
            continue
        if not isinstance(value, type) and not inspect.isfunction(inspect.unwrap(value)):
            continue
        if value.__module__ == module.__name__:
            yield public
            if isinstance(value, type):
                yield from (
                    f"{public}.{member}"
                    for member, held in vars(value).items()
                    if not member.startswith("_") and member not in FOR_PYTORCH
                    if isinstance(held, property | classmethod) or inspect.isfunction(held)
                )


def constants_of(name):
    """What a module assigns at its top, by name."""
    source = (ROOT / "minituner" / f"{name}.py").read_text(encoding="utf-8")
    assigned = re.findall(r"(?m)^([A-Za-z]\w*) = ", source)
    return {public: getattr(module_of(name), public) for public in assigned}


def default(value):
    """A default as the page writes it: a function by its name."""
    named = getattr(value, "__name__", None)
    return "…" if named == "<lambda>" else named or repr(value)


def heading_of(module, name):
    """What the page must say above a name: how it is called, annotations left out."""
    first, _, member = name.partition(".")
    target = getattr(module_of(module), first)
    if member and isinstance(vars(target)[member], property):
        return name
    bound = member and not isinstance(vars(target)[member], classmethod)
    parameters = list(
        inspect.signature(getattr(target, member) if member else target).parameters.values()
    )
    shown = [
        ("**" if p.kind is p.VAR_KEYWORD else "")
        + (p.name if p.default is p.empty else f"{p.name}={default(p.default)}")
        for p in parameters[1 if bound else 0 :]
    ]
    return f"{name}({', '.join(shown)})"


def docstring_of(module, name):
    target = module_of(module)
    for part in name.split("."):
        target = getattr(target, part)
    return inspect.getdoc(target) or ""


def test_the_page_has_the_textbook_and_what_is_needed_to_use_it():
    assert list(CHAPTERS) == [*TEXTBOOK, *PARTLY]


@pytest.mark.parametrize("module", TEXTBOOK)
def test_every_public_name_of_a_textbook_module_is_on_the_page_as_it_is_called(module):
    headings = [heading for chapter, heading in SECTIONS if chapter == module]
    assert sorted(headings) == sorted(heading_of(module, name) for name in names_of(module))


@pytest.mark.parametrize("module", PARTLY)
def test_what_is_named_of_another_room_is_called_so(module):
    headings = {heading for chapter, heading in SECTIONS if chapter == module}
    assert headings == {heading_of(module, name) for name in PARTLY[module]}


@pytest.mark.parametrize("module", TEXTBOOK)
def test_every_constant_of_a_textbook_module_is_on_the_page_with_its_value(module):
    rows = re.findall(r"(?m)^\| `(\w+)` \| `(.*?)` \| .+ \|$", CHAPTERS[module])
    assert dict(rows) == {name: repr(value) for name, value in constants_of(module).items()}


@pytest.mark.parametrize(("module", "heading"), SECTIONS, ids=lambda part: part[:30])
def test_a_section_names_the_errors_of_the_docstring_and_uses_the_name(module, heading):
    body, name = SECTIONS[module, heading], heading.partition("(")[0]
    words, _, examples = body.partition("```pycon")
    raised = {"UserError", "ValueError"} & set(re.findall(r"\w+Error", docstring_of(module, name)))
    if raised or "Error`" in words:
        assert set(re.findall(r"`(\w+Error)`", words)) == raised
    assert re.search(rf">>> .*\b{name.rpartition('.')[2]}\b|>>> .*\b{name}\(", examples)


@pytest.mark.parametrize(("call", "arguments", "module"), PROMISED)
def test_a_promised_call_still_works(call, arguments, module):
    target = module_of(module)
    for part in call.split("."):
        target = getattr(target, part)
    signature = inspect.signature(target)
    held = [p for p in signature.parameters.values() if p.name != "self"]
    promised = [part.partition("=") for part in filter(None, arguments.split(", "))]
    for parameter, (name, _, value) in zip(held, promised, strict=False):
        assert parameter.name == name
        assert not value or parameter.default == eval(value)
    assert len(held) >= len(promised) and len(PROMISED) == 6
    assert all(p.default is not p.empty for p in held[len(promised) :])


def test_the_examples_run_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```pycon\n(.*?)```", TEXT, re.S)
    assert TEXT.count(">>>") == sum(block.count(">>>") for block in blocks)
    test = doctest.DocTestParser().get_doctest("".join(blocks), {}, PAGE.name, str(PAGE), 0)
    said = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)
