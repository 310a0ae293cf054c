"""The formats, the rules of enforcement, and the vectors, for servers in other languages."""

from pathlib import Path
from typing import Final

from polygent_issuer.guide import ENFORCEMENT, FORMAT

_PACKAGE: Final = Path(__file__).parents[1]
_INSTALLED: Final = _PACKAGE / "vectors"
_SOURCE: Final = _PACKAGE.parent / "tests" / "vectors"
_SUFFIXES: Final = frozenset({".json", ".lic", ".md"})


def files() -> dict[str, bytes]:
    """Return the content of each file by its path, with `/` between the parts.

    The vectors are those of the installed package, or of the source tree. OSError if they cannot be
    read.
    """
    folder = _INSTALLED if _INSTALLED.is_dir() else _SOURCE
    vectors = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES)
    return {
        **{path.name: path.read_bytes() for path in (FORMAT, ENFORCEMENT)},
        **{f"vectors/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in vectors},
    }
