"""Plain words: no text for people has a word that the project retired.

Messages, help texts, pages, docstrings, comments, names of tests and Markdown are read room by
room. ``guide/development.md`` has the glossary.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from support.sources import nodes, tree

TOP = Path(__file__).parents[1]

#: Each retired word, in every form, and what to write for it.
RETIRED = {
    r"mend(s|ed|ing|able)?": "fix",
    r"told|tells?": "print, report, state, distinguish",
    r"say(s|ing)?|said": "state, report, print, name; or the quoted words alone",
    r"nobody|anybody|no one": "the actor",
    r"by (itself|themselves)": "automatically, one at a time, alone",
    r"beside": "next to, in addition to",
    r"likewise": "the same for",
    r"mostly": "usually",
    r"for ever": "permanently",
    r"at will": "freely",
    r"save where": "except where",
    r"shall": "will, should, or the plain present",
    r"whom": "subject, verb, object",
    r"who issues": "the operator",
    r"(private|public) hal(f|ves)": "private key, public key",
    r"custody": "key store",
    r"in force": "current",
    r"lapsed": "expired",
    r"heirs?": "newer license",
    r"newcomers?": "new customer",
    r"holds? that": "check that",
    r"let go": "release",
    r"lets? pass": "allow",
    r"tak(e|es|ing|en) in": "import, read",
    r"giv(e|es|ing|en) away": "disclose",
    r"stands?": "is, is in, is written",
    r"lies": "is in",
    r"hangs? on": "depends on",
    r"wish(es)? for": "requests",
    r"(is|are|was|were) (no|none)": "is not a, no ..., not one",
    r"of which": "a second sentence",
    r"(is|are) to be": "will, should, or the plain present",
}
#: Docstrings that ask instead of stating.
ASKING = re.compile(r"(What|Whether|How|Whose|Who|Which|Is|Are|Does)\b")

_RETIRED = re.compile(rf"\b({'|'.join(RETIRED)})\b", re.IGNORECASE)
#: Words in these are names that stay: code in backticks, placeholders, "is no longer", the
#: setting `lapsed` in a line of TOML or of an error.
_ALLOWED = re.compile(
    r"``?[^`\n]+``?|(is|are|was|were) no longer|\blapsed(?= = |: )", re.IGNORECASE
)

#: Homes of earlier versions and the steps in them are recorded, so their words stay.
RECORDED = ("tests/contract/homes/", "tests/contract/steps.py")


@cache
def rooms() -> dict[str, list[Path]]:
    """Return the files of each room: a folder, or a file next to the folders."""
    files: dict[str, list[Path]] = {}
    folders = [path for name in ("polygent_issuer", "tests") for path in (TOP / name).rglob("*")]
    for path in sorted([*folders, TOP / "README.md", TOP / "CHANGELOG.md"]):
        parts = path.relative_to(TOP).parts
        if path.suffix not in {".py", ".md", ".html", ".toml", ".txt"} or path == Path(__file__):
            continue
        if "/".join(parts).startswith(RECORDED):
            continue
        depth = 3 if parts[1:2] == ("cli",) else 2
        files.setdefault("/".join(parts[:depth]), []).append(path)
    return files


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each passage that a person reads."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for node in nodes(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.name.replace("_", " ")
    for number, line in enumerate(text.splitlines(), 1):
        if "#" in line:  # a comment, or a string that is read above
            yield number, line.partition("#")[2]


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring of a module, class or function."""
    if path.suffix != ".py":
        return
    for node in nodes(tree(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def retired_words(path: Path) -> list[str]:
    """Return each retired word of a file, with its line and its replacement."""
    problems = []
    for line, text in prose(path):
        for match in _RETIRED.finditer(_ALLOWED.sub("", text)):
            word = match[0]
            instead = next(
                plain for old, plain in RETIRED.items() if re.fullmatch(old, word, re.IGNORECASE)
            )
            problems.append(f"{path.relative_to(TOP)}:{line}: {word!r}: write {instead}")
    for line, text in docstrings(path):
        if ASKING.match(text):
            problems.append(f"{path.relative_to(TOP)}:{line}: a docstring asks: {text[:40]!r}")
    return problems


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_uses_plain_words(room: str) -> None:
    """No passage of the room has a retired word, and no docstring is a question."""
    problems = [problem for path in rooms()[room] for problem in retired_words(path)]

    assert not problems, "\n".join(problems)
