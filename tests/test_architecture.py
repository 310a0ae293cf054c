"""The layout of DESIGN: allowed imports and allowed calls of each room.

The modules are parsed, not run. An import within a function counts like one at the top.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from support.sources import nodes, tree

import polygent_issuer

PACKAGE = "polygent_issuer"
ROOT = Path(polygent_issuer.__file__).parent

# DESIGN, "Layout": a room imports only from rooms above its own.
ROOMS = (
    {"verifier"},
    {"enforcement"},
    {"errors"},
    {"text"},
    {"processes"},
    {"findings"},
    {"email_address"},
    {"terms"},
    {"files"},
    {"store_uri", "registry_uri"},
    {"registry"},
    {"home"},
    {"machine_info"},
    {"keys"},
    {"issuing"},
    {"batch"},
    {"delivery"},
    {"doctor"},
    {"sandbox"},
    {"guide"},
    {"cli"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}

# The rooms that may import a heavy or risky module. None may import "click", which Typer vendors,
# or "pydantic", which takes 100 ms.
ONLY_IN = {
    "sqlite3": {"registry", "enforcement"},
    "psycopg": {"registry"},
    "keyring": {"keys"},
    "secretstorage": {"keys"},
    "pkcs11": {"keys"},
    "hvac": {"keys"},
    "requests": {"keys"},
    "boto3": {"keys"},
    "botocore": {"keys"},
    "tomlkit": {"home"},
    "tomli_w": {"batch"},
    "anyascii": {"text"},
    "tomllib": {"home", "batch"},
    "platformdirs": {"home"},
    "starlette": {"enforcement", "sandbox"},
    "uvicorn": {"sandbox"},
    "jinja2": {"delivery", "sandbox"},
    "pygal": {"delivery"},
    "typer": {"cli"},
    "rich": {"cli"},
    "click": set[str](),
    "pydantic": set[str](),
}

# Modules that the verifier must not import: I/O, clock, random numbers, other processes.
VERIFIER_SHUNS = {
    "asyncio",
    "builtins",
    "fcntl",
    "getpass",
    "glob",
    "importlib",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "platform",
    "random",
    "secrets",
    "select",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
    "zoneinfo",
}

# Enforcement decides without I/O and without a clock, except for these modules.
ENFORCEMENT_SHUNS = VERIFIER_SHUNS - {"logging", "threading"}
HARMLESS = {"urllib.parse"}
MAY_IMPORT = {
    "enforcement.daily": {"asyncio"},
    "enforcement.live": {"os", "pathlib"},
    "enforcement.machine": {"pathlib", "platform", "subprocess", "sys"},
    "enforcement.router": {"starlette"},
    "enforcement.sqlite_file": {"os", "pathlib", "sqlite3", "sys"},
    "enforcement.sqlite_store": {"pathlib"},
    "enforcement.testing": {"cryptography", "pytest", "uuid"},
    "enforcement.threads": {"os"},
}
# It makes keys and files for an integrator's tests, so no server may import it.
TESTING = "enforcement.testing"

# Calls that only the command line may make: clock, random ids, screen, exit.
CLI_ONLY = {
    "breakpoint",
    "builtins.print",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "exit",
    "input",
    "os._exit",
    "print",
    "quit",
    "sys.exit",
    "time.ctime",
    "time.gmtime",
    "time.localtime",
    "time.time",
    "time.time_ns",
    "uuid.uuid1",
    "uuid.uuid4",
}
MAY_END_THE_PROCESS = {"cli", "__main__"}
MAY_CALL = {
    "enforcement.daily": {"datetime.datetime.now"},
    "enforcement.router": {"datetime.datetime.now"},
    "enforcement.testing": {"datetime.datetime.now", "uuid.uuid4"},
}

# Rooms that may open a write transaction; all others change rows with `registry.change`.
MAY_WRITE = {"registry"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """One source file: its dotted name below the package, and its syntax tree."""

    name: str
    package: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The first part of the name; empty for the package itself."""
        return self.name.split(".")[0]

    def imports(self) -> Iterator[str]:
        """Yield every imported module as an absolute dotted name; `from a import b` gives `a.b`."""
        for node in nodes(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield from (f"{base}.{alias.name}" for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.package.split(".")
        above = parts[: len(parts) - node.level + 1]
        return ".".join([*above, *([node.module] if node.module else [])])

    def calls(self) -> Iterator[str]:
        """Yield every called name, with local names replaced by what they import."""
        names = dict(self._local_names())
        for node in nodes(self.tree):
            if isinstance(node, ast.Call):
                called = _dotted(node.func)
                head, _, rest = called.partition(".")
                yield names.get(head, head) + (f".{rest}" if rest else "")

    def _local_names(self) -> Iterator[tuple[str, str]]:
        for node in nodes(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield (
                        alias.asname or alias.name.split(".")[0],
                        (alias.name if alias.asname else alias.name.split(".")[0]),
                    )
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                for alias in node.names:
                    yield alias.asname or alias.name, f"{base}.{alias.name}"


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return "?"


@cache
def modules(root: Path) -> tuple[Module, ...]:
    """Return every module of the package at `root`."""
    return tuple(_read(root, path) for path in sorted(root.rglob("*.py")))


def _read(root: Path, path: Path) -> Module:
    *inner, last = path.relative_to(root).with_suffix("").parts
    return Module(
        name=".".join(inner if last == "__init__" else [*inner, last]),
        package=".".join([PACKAGE, *inner]),
        tree=tree(path),
    )


def rooms_without_a_place(root: Path) -> list[str]:
    """Return the modules that DESIGN's list does not contain."""
    return [m.name for m in modules(root) if m.room and m.room not in LEVEL]


def upward_imports(root: Path) -> list[str]:
    """Return the imports of a room that is not above the importing room."""
    problems = []
    for module in modules(root):
        for imported in module.imports():
            package, _, inner = imported.partition(".")
            room = inner.split(".")[0]
            if package != PACKAGE or room not in LEVEL or room == module.room or not module.room:
                continue
            if (
                LEVEL[room] >= LEVEL.get(module.room, -1)
                and ROOMS[LEVEL[room]] != ROOMS[LEVEL.get(module.room, -1)]
            ):
                problems.append(f"{module.name} imports {imported}")
    return problems


def import_circles(root: Path) -> list[str]:
    """Return the modules that import one another, directly or not; imports for types count."""
    graph: dict[str, set[str]] = {}
    every = {f"{PACKAGE}.{module.name}".rstrip("."): module for module in modules(root)}
    for name, module in every.items():
        imported = (i if i in every else i.rpartition(".")[0] for i in module.imports())
        graph[name] = {other for other in imported if other in every}
    while loose := {name for name, below in graph.items() if not below & graph.keys()}:
        graph = {name: below for name, below in graph.items() if name not in loose}
    while loose := graph.keys() - set[str]().union(*graph.values()):
        graph = {name: below for name, below in graph.items() if name not in loose}
    return [f"one circle or several: {', '.join(sorted(graph))}"] if graph else []


def package_imports(root: Path) -> list[str]:
    """Return the imports of the package's `__init__`, which must have none."""
    return [i for m in modules(root) if not m.name for i in m.imports()]


def strangers_in_the_verifier(root: Path) -> list[str]:
    """Return the verifier's imports other than relative ones, cryptography and harmless stdlib."""
    problems = []
    for module in modules(root):
        if module.room != "verifier":
            continue
        for node in nodes(module.tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                if not module._absolute(node).startswith(f"{PACKAGE}.verifier"):
                    problems.append(f"{module.name} reaches outside its folder")
                continue
            if isinstance(node, ast.Import | ast.ImportFrom):
                tops = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                )
                problems += [
                    f"{module.name} imports {top}"
                    for top in (name.split(".")[0] for name in tops)
                    if top in VERIFIER_SHUNS
                    or (top != "cryptography" and top not in sys.stdlib_module_names)
                ]
        problems += [
            f"{module.name} calls {c}" for c in module.calls() if c in {"open", "__import__"}
        ]
    return problems


def strangers_in_enforcement(root: Path) -> list[str]:
    """Return enforcement's imports other than relative ones of both rooms and harmless stdlib."""
    problems = []
    for module in modules(root):
        if module.room != "enforcement":
            continue
        for node in nodes(module.tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                imported = module._absolute(node).split(".")
                if imported[:2] not in ([PACKAGE, "enforcement"], [PACKAGE, "verifier"]):
                    problems.append(f"{module.name} reaches outside the two folders")
                continue
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                tops = names if isinstance(node, ast.Import) else [node.module or ""]
                problems += [
                    f"{module.name} imports {top}"
                    for top in (name.split(".")[0] for name in tops if name not in HARMLESS)
                    if top not in MAY_IMPORT.get(module.name, set())
                    and (top not in sys.stdlib_module_names or top in ENFORCEMENT_SHUNS)
                ]
        problems += [
            f"{module.name} calls {c}" for c in module.calls() if c in {"open", "__import__"}
        ]
    return problems


def imports_of_testing(root: Path) -> list[str]:
    """Return the imports of the module for an integrator's tests."""
    return [
        f"{module.name} imports {imported}"
        for module in modules(root)
        for imported in module.imports()
        if f"{imported}.".startswith(f"{PACKAGE}.{TESTING}.")
    ]


def misplaced_libraries(root: Path) -> list[str]:
    """Return the imports of a library outside the rooms that may use it."""
    return [
        f"{module.name} imports {imported}"
        for module in modules(root)
        for imported in module.imports()
        if (top := imported.split(".")[0]) in ONLY_IN and module.room not in ONLY_IN[top]
    ]


def misplaced_calls(root: Path) -> list[str]:
    """Return the calls of clock, random ids, screen or exit outside the command line."""
    return [
        f"{module.name} calls {called}"
        for module in modules(root)
        for called in module.calls()
        if called in CLI_ONLY
        and module.room != "cli"
        and called not in MAY_CALL.get(module.name, set())
        and not (called == "sys.exit" and module.room in MAY_END_THE_PROCESS)
    ]


def write_transactions(root: Path) -> list[str]:
    """Return the write transactions that are opened outside the registry."""
    return [
        f"{module.name} calls {called}"
        for module in modules(root)
        for called in module.calls()
        if called.split(".")[-1] == "writing" and module.room not in MAY_WRITE
    ]


Rule = Callable[[Path], list[str]]
RULES: list[Rule] = [
    rooms_without_a_place,
    upward_imports,
    import_circles,
    package_imports,
    strangers_in_the_verifier,
    strangers_in_enforcement,
    imports_of_testing,
    misplaced_libraries,
    misplaced_calls,
    write_transactions,
]

# Rule, file, and code that breaks the rule.
PLANTED: list[tuple[Rule, str, str]] = [
    (rooms_without_a_place, "helpers.py", "x = 1"),
    (upward_imports, "errors.py", "from polygent_issuer.findings import Finding"),
    (upward_imports, "errors.py", "from polygent_issuer import findings"),
    (upward_imports, "errors.py", "import polygent_issuer.cli.main"),
    (upward_imports, "errors.py", "from . import text"),
    (upward_imports, "errors.py", "from .cli.main import run"),
    (upward_imports, "errors.py", "def f():\n    from polygent_issuer.registry import Registry"),
    (upward_imports, "files.py", "if TYPE_CHECKING:\n    from .keys.signer import Signer"),
    (upward_imports, "registry/late.py", "from ..keys import lifecycle"),
    (upward_imports, "cli/late.py", "from polygent_issuer.__main__ import main"),
    (import_circles, "errors.py", "if TYPE_CHECKING:\n    from .errors import ExitCode"),
    (package_imports, "__init__.py", "import re"),
    (package_imports, "__init__.py", "from polygent_issuer.errors import IssuerError"),
    (strangers_in_the_verifier, "verifier/late.py", "import pathlib"),
    (strangers_in_the_verifier, "verifier/late.py", "from os import path"),
    (strangers_in_the_verifier, "verifier/late.py", "from time import time"),
    (strangers_in_the_verifier, "verifier/late.py", "import pydantic"),
    (strangers_in_the_verifier, "verifier/late.py", "from ..errors import IssuerError"),
    (strangers_in_the_verifier, "verifier/late.py", "from polygent_issuer.verifier import Key"),
    (strangers_in_the_verifier, "verifier/late.py", "open('x')"),
    (upward_imports, "verifier/late.py", "from ..enforcement import State"),
    (upward_imports, "enforcement/late.py", "from ..errors import IssuerError"),
    (strangers_in_enforcement, "enforcement/late.py", "from ..errors import IssuerError"),
    (strangers_in_enforcement, "enforcement/late.py", "from polygent_issuer.verifier import Key"),
    (strangers_in_enforcement, "enforcement/late.py", "import starlette.types"),
    (strangers_in_enforcement, "enforcement/late.py", "import sqlite3"),
    (strangers_in_enforcement, "enforcement/late.py", "from time import time"),
    (strangers_in_enforcement, "enforcement/sqlite_file.py", "import cryptography"),
    (strangers_in_enforcement, "enforcement/sqlite_file.py", "import subprocess"),
    (strangers_in_enforcement, "enforcement/machine.py", "import sqlite3"),
    (strangers_in_enforcement, "enforcement/router.py", "import fastapi"),
    (strangers_in_enforcement, "enforcement/late.py", "open('x')"),
    (strangers_in_enforcement, "enforcement/late.py", "import asyncio"),
    (strangers_in_enforcement, "enforcement/daily.py", "from os import path"),
    (misplaced_calls, "enforcement/late.py", "from datetime import datetime\nx = datetime.now()"),
    (
        misplaced_calls,
        "enforcement/daily.py",
        "from datetime import datetime\nx = datetime.today()",
    ),
    (strangers_in_enforcement, "enforcement/late.py", "import pytest"),
    (strangers_in_enforcement, "enforcement/testing.py", "import starlette"),
    (strangers_in_enforcement, "enforcement/testing.py", "from ..keys import signer"),
    (imports_of_testing, "enforcement/late.py", "from .testing import MemoryStore"),
    (imports_of_testing, "enforcement/late.py", "def f():\n    from . import testing"),
    (imports_of_testing, "sandbox.py", "import polygent_issuer.enforcement.testing"),
    (misplaced_libraries, "errors.py", "import click"),
    (misplaced_libraries, "cli/late.py", "from click import ClickException"),
    (misplaced_libraries, "issuing.py", "import sqlite3"),
    (misplaced_libraries, "issuing.py", "def f():\n    import keyring.backends"),
    (misplaced_libraries, "home/late.py", "from pkcs11.constants import TokenFlag"),
    (misplaced_libraries, "registry/late.py", "from pydantic import BaseModel"),
    (misplaced_libraries, "errors.py", "from rich.console import Console"),
    (misplaced_calls, "terms.py", "from datetime import datetime\nx = datetime.now()"),
    (misplaced_calls, "enforcement/router.py", "import time\nx = time.time()"),
    (misplaced_calls, "enforcement/asgi.py", "from datetime import datetime\nx = datetime.now()"),
    (misplaced_calls, "terms.py", "import datetime as dt\nx = dt.datetime.utcnow()"),
    (misplaced_calls, "verifier/late.py", "from datetime import date as d\nx = d.today()"),
    (misplaced_calls, "files.py", "import time\nx = time.time()"),
    (misplaced_calls, "files.py", "from time import time as t\nx = t()"),
    (misplaced_calls, "issuing/late.py", "from uuid import uuid4\nx = uuid4()"),
    (misplaced_calls, "enforcement/testing.py", "import time\nx = time.time()"),
    (misplaced_calls, "issuing/late.py", "print('x')"),
    (misplaced_calls, "issuing/late.py", "import sys\nsys.exit(1)"),
    (misplaced_calls, "__main__.py", "x = input()"),
    (write_transactions, "cli/late.py", "with registry.writing(now=now, actor=actor) as db: ..."),
    (write_transactions, "keys/late.py", "x = self.registry.writing(now=now, actor=actor)"),
    (write_transactions, "issuing/late.py", "x = open_registry().writing(now=now, actor=actor)"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    """No module of the package breaks the rule."""
    assert rule(ROOT) == []


@pytest.mark.parametrize(("rule", "file", "planted"), PLANTED)
def test_the_rule_finds_a_violation(tmp_path: Path, rule: Rule, file: str, planted: str) -> None:
    """Each way of breaking a rule is found."""
    target = tmp_path / file
    target.parent.mkdir(exist_ok=True)
    target.write_text(planted, encoding="utf-8")
    assert len(rule(tmp_path)) == 1


def test_every_module_is_read() -> None:
    """The rules check all files of the package, not an empty folder."""
    names = {module.name for module in modules(ROOT)}
    assert {"", "errors", "findings", "verifier", "cli.main"} <= names
    assert len(names) == len(list(ROOT.rglob("*.py")))


def test_relative_imports_are_resolved() -> None:
    """`.x` in a module means its folder, and `..x` means the folder above."""
    tree = ast.parse("from . import a\nfrom .b import c\nfrom .. import d\nfrom ..e import f")
    inner = Module(name="registry.rows", package="polygent_issuer.registry", tree=tree)
    assert list(inner.imports()) == [
        "polygent_issuer.registry.a",
        "polygent_issuer.registry.b.c",
        "polygent_issuer.d",
        "polygent_issuer.e.f",
    ]
