"""The templates of the report and of the model card, and how they are read."""

from pathlib import Path
from typing import Any

import jinja2

FOLDER = Path(__file__).with_name("template")


def environment(**further: Any) -> jinja2.Environment:
    """Jinja2 for the templates: an unknown name in one is an error, and its statements no lines.

    Args:
        further: options of `jinja2.Environment`.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **further,
    )
