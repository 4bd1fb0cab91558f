"""The charts' library as one script; making it takes one to two seconds, so it is kept."""

import contextlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert

from tfqdyn.files import wholefiles


@cache
def vega() -> str:
    """The script, which sets `window.vegaEmbed`.

    It is kept beside the compiled Python code of this package, where that can be written, under the
    version of what made it.

    Raises:
        RuntimeError: it would end the page's script element.
    """
    name = f"vega-{version('vl-convert-python')}.js"
    kept = Path(__file__).parent / "__pycache__" / name
    script = _read(kept)
    if script is None:
        script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
        with contextlib.suppress(OSError, wholefiles.WriteError):
            kept.parent.mkdir(exist_ok=True)
            wholefiles.write(kept, script.encode())
    if "</script" in script.lower() or "<!--" in script:
        raise RuntimeError("the bundle of Vega holds the end of a script element: cannot embed it")
    return script


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
