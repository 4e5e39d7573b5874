"""Build the API's documentation from the docstrings, as HTML: ``python docs/build_api.py``.

Needs the extra ``docs``. A warning is an error.
"""

from __future__ import annotations

import argparse
import pkgutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import aecodec

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = (
    "aecodec.__main__",  # it is a program
    "aecodec.entropy.compiled",  # the twin of ans.py, which needs the extra "fast"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and build; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "api")
    a = parser.parse_args(argv)
    try:
        import pdoc
        import pdoc.render
    except ImportError:
        print("the documentation needs pdoc: pip install 'aecodec[docs]'", file=sys.stderr)
        return 2
    warnings.simplefilter("error")
    for name in aecodec.__all__:  # imported when first used, which pdoc does not do
        setattr(aecodec, name, getattr(aecodec, name))
    pdoc.render.configure(
        docformat="restructuredtext", footer_text=f"aecodec {aecodec.__version__}"
    )
    found = pkgutil.iter_modules(aecodec.__path__, "aecodec.")  # pdoc goes on from there
    modules = [module.name for module in found if module.name not in LEFT_OUT]
    pdoc.pdoc("aecodec", *modules, *(f"!{name}" for name in LEFT_OUT), output_directory=a.output)
    print(a.output / "aecodec.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
