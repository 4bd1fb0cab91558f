"""Templates, styles and scripts of the pages: files in `assets/`, which the pages hold whole."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

ASSETS = Path(__file__).with_name("assets")


def template(name: str) -> Template:
    """A template; what is put into it is escaped, unless it is `Markup`."""
    environment = Environment(
        loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["breakable"] = _breakable
    return environment.get_template(name)


def joined(*names: str) -> Markup:
    """Files as one, as they are."""
    return Markup("\n".join((ASSETS / name).read_text() for name in names))


def _breakable(name: str) -> Markup:
    """A name that may be broken behind its underscores and slashes."""
    return Markup(re.sub(r"([_/])(?=.)", r"\1<wbr>", str(escape(name))))
