"""Completion through Typer's scripts; `test_completion_shells.py` uses the shells themselves."""

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import Desk
from support.licenses import Books
from support.tools import require_tool
from typer._click.shell_completion import CompletionItem, ShellComplete

from polygent_issuer.cli.candidates import EARLIER, VARIABLE
from polygent_issuer.cli.commands import COMMANDS, Entry
from polygent_issuer.cli.commands.completion import Shell
from polygent_issuer.cli.main import load, run
from polygent_issuer.findings import FindingCode
from polygent_issuer.home.settings import settings_path
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key

REST = "-0000-4000-8000-000000000000"

# Free text without candidates: new names, numbers, dates, texts.
FREE = frozenset(
    {
        "--after", "--against", "--allowed-domain", "--at", "--contact", "--crm", "--date-format",
        "--deploy-hosts",
        "--due-within", "--expect", "--expires", "--expires-before", "--fingerprint", "--host",
        "--issuer", "--label", "--mail-from", "--map", "--registry",
        "--name", "--note", "--notes", "--operator", "--order-id", "--passphrase-command",
        "--passphrase-fd", "--port", "--product-version",
        "--reason", "--session-hosts", "--since", "--slug", "--term", "--time-zone", "--to",
        "--until", "--upload-window", "--users", "--within", "LABEL", "NAME",
    }
)  # fmt: skip
# Metavars of paths, which the shell itself completes.
PATHS = frozenset({"FILE", "FILE.prom", "FILE|DIR", "DIR"})
VALUE = r"[A-Za-z0-9._:@-]+"
HELP = r"[^\W]|[ .,:()/@+-]"  # letters and digits of any script, and what no shell reads


class Answer:
    """The answer to one completion request."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines()

    @property
    def values(self) -> list[str]:
        """Return the candidates without their help."""
        return [line.partition("\t")[0] for line in self.lines]

    @property
    def help(self) -> dict[str, str]:
        """Return the help of each candidate."""
        pairs = (line.partition("\t") for line in self.lines)
        return {value: text for value, _, text in pairs}


def asking(shell: str, words: tuple[str, ...]) -> dict[str, str]:
    """Return the variables that Typer's script for a shell sets."""
    line = f"{shlex.join(('polygent-issue', *words[:-1]))} {words[-1]}"
    return {
        VARIABLE: f"complete_{shell}",
        "COMP_WORDS": "\n".join(("polygent-issue", *words)),
        "COMP_CWORD": str(len(words)),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": words[-1],
    }


def ask(shell: str, *words: str, environ: dict[str, str] | None = None) -> Answer:
    """Request candidates as a script does; check that stderr is empty and the exit code 0."""
    out, err = StringIO(), StringIO()
    variables = asking(shell, words)
    with patch.dict(os.environ, variables), redirect_stdout(out), redirect_stderr(err):
        code = run([], environ={**variables, **(environ or {})})
    assert (code, err.getvalue()) == (0, "")
    return Answer(out.getvalue())


def complete(books: Books, *words: str) -> Answer:
    """Request candidates as fish does, for the home of these books."""
    return ask("fish", *words, environ={"POLYGENT_ISSUER_HOME": str(books.desk.home)})


def test_commands_have_their_summaries(books: Books) -> None:
    """Commands of the tool and of a group are offered without a home."""
    assert complete(books, "").values == [entry.name for entry in COMMANDS.entries]
    assert complete(books, "re").help == {
        "renew": "Renew licenses of one or more customers.",
        "reissue": "Reissue licenses with the same expiry dates.",
        "registry": "Back up, restore, move, export or rebuild...",
        "report": "Report what runs now and what changed.",
    }
    assert ask("fish", "--json", "customer", "s").values == ["show"]
    assert ask("fish", "xyzzy", "").text == ""
    assert ask("fish", "customer", "xyzzy", "").text == ""


def test_options_of_the_command_and_global_ones(books: Books) -> None:
    """Options on the line are not offered again, unless they are repeatable."""
    offered = complete(books, "renew", "acme", "--").values
    assert {"--tier", "--machine", "--home", "--json", "--help"} <= set(offered)
    assert "--version" in complete(books, "--").values
    line = ("renew", "acme", "--tier", "standard", "--json", "--accept", "not-due", "--")
    assert not {"--tier", "--json"} & set(complete(books, *line).values)
    assert "--accept" in complete(books, *line).values
    assert complete(books, "customer", "show", "--", "--").values == []


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("sign", "--tier", ""), ["standard", "enterprise"]),
        (("license", "list", "--status", "re"), ["replaced", "retired"]),
        (("license", "list", "--tier", "e"), ["enterprise"]),
        (("key", "export-public", "--format", ""), ["pem", "jwks"]),
        (("renew", "acme", "--from", ""), ["expiry", "now"]),
        (("renew", "acme", "--accept", "not"), ["not-due"]),
        (("sign", "--plan", "st"), ["standard-annual"]),
        (("sign", "--feature", "in"), ["insights"]),
        (("renew", "acme", "--add-feature", "sso"), ["sso-saml"]),
        (("renew", "acme", "--remove-feature", "b"), ["bots"]),
        (("key", "show", ""), ["main"]),
        (("sign", "--key", "m"), ["main"]),
        (("key", "generate", "x", "--store", "k"), ["keyring:"]),
        (("config", "set", "not"), ["not_due"]),
        (("config", "set", "plans.trial.u"), ["plans.trial.users"]),
        (("config", "set", "not_due", ""), ["90d"]),
        (("config", "set", "plans.trial.renewable", ""), ["false", "true"]),
        (("config", "set", "plans.trial.tier", "e"), ["enterprise"]),
        (("config", "set", "default_plan", "t"), ["trial"]),
        (("config", "set", "store", "f"), ["file:"]),
        (("config", "set", "plans.partner", "t"), ["trial"]),
        (("config", "show", "plans.trial.u"), ["plans.trial.users"]),
        (("config", "set", "nonsense", ""), []),
        (("completion", "z"), ["zsh"]),
        (("renew", "--reason", ""), []),
        (("customer", "show", "a", "too", "many", "--js"), ["--json"]),
        (("customer", "add", ""), []),
    ],
)
def test_known_values_are_offered(books: Books, words: tuple[str, ...], values: list[str]) -> None:
    """Enumerations, settings and registry give candidates; free text has none."""
    assert complete(books, *words).values == values


def test_every_finding_can_be_accepted(books: Books) -> None:
    """`--accept` offers the finding codes of the program."""
    assert complete(books, "sign", "--accept", "").values == list(FindingCode)


def test_a_newer_module_of_the_settings_is_known(books: Books) -> None:
    """Features and plans are those of this home."""
    books.desk.ok("config", "set", "features", "insights-2")
    assert complete(books, "sign", "--feature", "insights-").values == ["insights-2"]


def test_customers_are_offered_by_slug(books: Books) -> None:
    """Each has its name as help; a customer on the line is not offered again."""
    books.customer()
    books.customer("Globex AG", "globex")
    assert complete(books, "renew", "").help == {"acme": "Acme GmbH", "globex": "Globex AG"}
    assert complete(books, "license", "list", "--customer", "g").values == ["globex"]
    assert complete(books, "renew", "acme", "").values == ["globex"]
    assert complete(books, "renew", "acme", "globex", "").values == []


def test_licenses_are_offered_by_shortened_id(books: Books) -> None:
    """They belong to the customer on the line, and are current where that is needed."""
    acme, globex = books.customer(), books.customer("Globex AG", "globex")
    old = books.license(acme, books.machine(acme), license_id=f"1f3a9c2e{REST}")
    books.license(acme, replaces=old, license_id=f"2f3a9c2e{REST}")
    books.license(globex, license_id=f"3f3a9c2e{REST}")
    day = f"{old.expires_at:%Y-%m-%d}"
    assert complete(books, "license", "show", "").help == {
        "1f3a9c2e": f"acme, prod-1, expires {day}, replaced",
        "2f3a9c2e": f"acme, expires {day}",
        "3f3a9c2e": f"globex, expires {day}",
    }
    assert complete(books, "license", "show", "1f3a9c2e-").values == [old.id]
    assert complete(books, "renew", "acme", "--license", "").values == ["2f3a9c2e"]
    assert complete(books, "renew", "GLÖBEX", "--license", "").values == ["3f3a9c2e"]
    assert complete(books, "renew", "nobody", "--license", "2").values == ["2f3a9c2e"]
    line = ("verify", "--customer", "acme", "--license", "")
    assert complete(books, *line).values == ["1f3a9c2e", "2f3a9c2e"]


def test_machines_belong_to_the_customer_on_the_line(books: Books) -> None:
    """Without a customer none are offered."""
    books.machine(books.customer())
    assert complete(books, "reissue", "acme", "--machine", "").help == {"prod-1": "prod-1"}
    assert complete(books, "customer", "edit", "acme", "--machine", "").values == ["prod-1"]
    assert complete(books, "reissue", "--machine", "").values == []


def test_keys_have_their_state(books: Books) -> None:
    """The help of a key states whether it is active."""
    other = SoftwareSigner(generate_private_key())
    books.key("second", other)
    assert complete(books, "key", "use", "").help == {
        "main": f"active, {books.signer.kid[:8]}",
        "second": other.kid[:8],
    }


@pytest.mark.parametrize(
    "words", [("verify", ""), ("verify", "a.lic", ""), ("sign", "-o", ""), ("--home", "")]
)
def test_paths_are_left_to_the_shell(books: Books, words: tuple[str, ...]) -> None:
    """No candidates are offered, so the shell offers files; fish checks that first."""
    assert complete(books, *words).text == ""
    for line, code in ((words, 1), (("renew", "--tier", ""), 0)):
        variables = {**asking("fish", line), "_TYPER_COMPLETE_FISH_ACTION": "is-args"}
        with patch.dict(os.environ, variables):
            assert run([], environ=variables) == code


def test_bash_splits_words_at_an_equals_sign(books: Books) -> None:
    """The second of its three words is ignored."""
    books.customer()
    home = str(books.desk.home)
    assert ask("bash", "sign", "--tier", "=", "st").values == ["standard"]
    assert ask("bash", "sign", "--tier", "=").values == ["standard", "enterprise"]
    assert ask("bash", "--home", "=", home, "renew", "").values == ["acme"]


def test_foreign_names_are_data(books: Books) -> None:
    """A value that needs quoting is not offered; help loses special characters."""
    acme = books.customer("$(touch x)", "acme")
    books.customer("Z\u00fcrich & `S\u00f6hne`; 'it\"s", "z")
    books.machine(acme, "$(touch x)")
    books.machine(acme, "prod-1", "sha256:" + "cd" * 32)
    with books.writing() as db:
        db.update("customers", acme.id, name="$(a)\nb\tc\x1b[2J\u202e")
        db.record("planted")
    assert complete(books, "renew", "").lines == [
        "acme\t(a) b c2J",
        "z\tZ\u00fcrich S\u00f6hne, its",
    ]
    assert complete(books, "renew", "acme", "--machine", "").values == ["prod-1"]


@pytest.mark.parametrize("shell", Shell)
@given(found=st.lists(st.tuples(st.text(), st.none() | st.text()), min_size=1))
def test_only_plain_values_and_help_reach_a_shell(
    shell: Shell, found: list[tuple[str, str | None]]
) -> None:
    """No name in registry or settings makes a shell evaluate or split the output."""
    items = [CompletionItem(value, help=text) for value, text in found]
    with patch.object(ShellComplete, "get_completions", return_value=items):
        text = ask(shell, "renew", "").text
    plain = [value for value, _ in found if re.fullmatch(VALUE, value)]
    in_zsh = rf'"({HELP}|\\)+"(:"({HELP}|\\)*")?\n?'
    shown = {
        Shell.BASH: rf"({VALUE}\n)*",
        Shell.FISH: rf"({VALUE}(\t({HELP})*)?\n)*",
        Shell.POWERSHELL: rf"({VALUE}:::({HELP})*\n)*",
        Shell.ZSH: rf"(_files|_arguments '\*: :\(\(({in_zsh})+\)\)')\n",
    }[shell]
    assert re.fullmatch(shown, text)
    assert len(re.findall(r"(?m)^", text)) >= len(plain)


def _pragma(books: Books, pragma: str) -> None:
    with closing(sqlite3.connect(books.path)) as raw:
        raw.execute(f"PRAGMA {pragma}")


def _no_folder(books: Books) -> None:
    shutil.rmtree(books.desk.home)
    books.desk.home.touch()


BROKEN: dict[str, Callable[[Books], object]] = {
    "missing": lambda books: books.desk.home.rename(books.desk.folder / "elsewhere"),
    "no registry": lambda books: books.path.unlink(),
    "damaged": lambda books: books.path.write_bytes(b"no registry" * 1000),
    "newer": lambda books: _pragma(books, "user_version = 99"),
    "older": lambda books: _pragma(books, "user_version = 0"),
    "open to all": lambda books: books.desk.home.chmod(0o777),
    "no folder": _no_folder,
}


def _tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {path: path.lstat() for path in sorted(folder.rglob("*"))}
    return {
        str(path.relative_to(folder)): (at.st_mode, at.st_size, at.st_mtime_ns)
        for path, at in found.items()
    }


@pytest.mark.sqlite("about the file")
@pytest.mark.parametrize("how", BROKEN)
def test_an_unreadable_home_gives_no_candidates(books: Books, how: str) -> None:
    """No message is printed and no file changes; other candidates are still offered."""
    books.machine(books.customer())
    BROKEN[how](books)
    before = _tree(books.desk.folder)
    assert complete(books, "renew", "").values == []
    assert complete(books, "license", "show", "").values == []
    assert complete(books, "renew", "acme", "--machine", "").values == []
    assert complete(books, "key", "show", "").values == []
    assert complete(books, "renew", "acme", "--tier", "s").values == ["standard"]
    assert _tree(books.desk.folder) == before


@pytest.mark.sqlite("about the file")
def test_invalid_settings_give_no_candidates(books: Books) -> None:
    """Names of the registry are still offered."""
    books.customer()
    settings_path(books.desk.home).write_text("not TOML")
    assert complete(books, "sign", "--plan", "").values == []
    assert complete(books, "config", "set", "").values == []
    assert complete(books, "renew", "").values == ["acme"]


@pytest.mark.sqlite("the file's lock")
def test_a_locked_registry_gives_no_candidates(books: Books) -> None:
    """Completion does not wait for the lock."""
    books.customer()
    with closing(sqlite3.connect(books.path, isolation_level=None)) as raw:
        raw.execute("BEGIN EXCLUSIVE")
        assert complete(books, "renew", "").values == []
        raw.execute("UPDATE customers SET crm = 'x'")
        raw.execute("COMMIT")
    assert complete(books, "renew", "").values == ["acme"]


def test_completion_writes_nothing(books: Books) -> None:
    """No request creates or changes a file."""
    books.license(books.customer(), pending=(None, "a.lic"))
    before = _tree(books.desk.folder)
    for words in (
        ("renew", ""),
        ("license", "show", ""),
        ("config", "set", ""),
        ("key", "use", ""),
    ):
        assert complete(books, *words).values
    assert _tree(books.desk.folder) == before


def test_the_home_of_the_line_counts(books: Books) -> None:
    """The last `--home` counts, before or after the command, then the variable."""
    books.customer()
    home = str(books.desk.home)
    for words in (("--home", home, "renew", ""), ("renew", f"--home={home}", "")):
        assert ask("fish", *words).values == ["acme"]
    assert complete(books, "--home", "/nowhere", "renew", "").values == []
    assert complete(books, "--home", "/nowhere", "renew", "--home", home, "").values == ["acme"]
    assert ask("fish", "renew", "", environ={"POLYGENT_ISSUER_HOME": ""}).values == []


@pytest.mark.parametrize(
    "variables",
    [
        {VARIABLE: "x"},
        {VARIABLE: "complete_tcsh"},
        {VARIABLE: "source_bash"},
        {VARIABLE: "complete_bash"},
        {VARIABLE: "complete_bash", "COMP_WORDS": "", "COMP_CWORD": "x"},
        {VARIABLE: "complete_zsh", "_TYPER_COMPLETE_ARGS": "polygent-issue xyzzy "},
    ],
)
def test_an_unknown_request_gets_no_answer(empty_desk: Desk, variables: dict[str, str]) -> None:
    """Neither a message nor a traceback is printed, and no command is run."""
    empty_desk.environ.update(variables)
    with patch.dict(os.environ, variables):
        outcome = empty_desk.run("init")
    assert (outcome.code, outcome.out, outcome.err) == (0, b"", "")
    assert list(empty_desk.folder.iterdir()) == []


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("bash", "9", "polygent-issue init ", ""),
        ("zsh", "renew", ""),
        ("fish", "init"),
        ("powershell",),
        ("init",),
    ],
)
def test_scripts_of_earlier_versions_get_no_candidates(
    tmp_path: Path, argv: tuple[str, ...]
) -> None:
    """An old script in a start-up file gets no message and no candidates."""
    environ = {"POLYGENT_ISSUER_HOME": str(tmp_path / "home"), "POLYGENT_ISSUER_COMPLETE": "init\n"}
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([EARLIER, *argv], environ=environ)
    assert (code, out.getvalue(), err.getvalue()) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_and_a_closed_pipe_are_silent(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither prints a message while the user goes on typing."""
    command = [sys.executable, "-m", "polygent_issuer"]
    environ = {**os.environ, **asking("fish", ("",))}
    for end in (">&-", "> /dev/full", "| true"):
        line = ["bash", "-c", f'"$@" {end}', "bash", *command]
        done = subprocess.run(line, capture_output=True, check=True, env=environ)
        assert (done.stdout, done.stderr) == (b"", b""), end

    def interrupt(_home: Path, **_more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("polygent_issuer.home.folder.require", interrupt)
    assert complete(books, "renew", "").text == ""


def test_help_is_encoded_for_the_pipe(books: Books) -> None:
    """On a code page characters of help are replaced; values are ASCII."""
    books.customer("Z\u00fcrich AG", "zurich")
    variables = asking("fish", ("renew", ""))
    out = TextIOWrapper(BytesIO(), encoding="ascii")
    with patch.dict(os.environ, variables), redirect_stdout(out):
        run([], environ={**variables, "POLYGENT_ISSUER_HOME": str(books.desk.home)})
    out.seek(0)
    assert out.read() == "zurich\tZ?rich AG\n"


def _parameters(entry: Entry, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for child in entry.entries:
        here = (*path, child.name)
        if child.entries:
            yield from _parameters(child, *here)
        else:
            yield from ((here, parameter) for parameter in load(child, None).params)


def name_of(parameter: Any) -> str:
    """Return the long name of an option, or the metavar of an argument."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).strip("[].").upper()
    return next((str(name) for name in parameter.opts if name.startswith("--")), "")


def test_every_value_has_candidates_or_an_exception() -> None:
    """Each option and argument has candidates, or is listed as free text or a path."""
    forgotten = [
        (" ".join(path), name_of(one), one.metavar)
        for path, one in _parameters(COMMANDS)
        if not getattr(one, "is_flag", False)
        and name_of(one) not in FREE
        and one._custom_shell_complete is None
        and not getattr(one.type, "choices", None)
        and str(one.metavar).strip("[].") not in PATHS
    ]
    assert forgotten == []


@pytest.mark.parametrize("shell", Shell)
def test_the_script_is_that_of_typer(empty_desk: Desk, shell: Shell) -> None:
    """No home is needed, and nothing is written."""
    printed = empty_desk.ok("completion", shell)
    assert printed.err == ""
    for part in ("polygent-issue", VARIABLE, f"complete_{shell}"):
        assert part in printed.text
    assert empty_desk.ok("completion", shell, "--json").json["script"] == printed.text
    assert list(empty_desk.folder.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_parses(empty_desk: Desk, shell: str) -> None:
    """Each shell parses its script."""
    script = empty_desk.folder / "script"
    script.write_bytes(empty_desk.ok("completion", shell).out)
    command = [require_tool(shell, shell), "-n", str(script)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stderr == b""


def test_the_help_explains_the_installation(empty_desk: Desk) -> None:
    """Each shell has one unbroken line."""
    text = empty_desk.ok("completion", "--help").text
    for line in (
        "source <(polygent-issue completion bash)",
        "source <(polygent-issue completion zsh)",
        "polygent-issue completion fish > polygent-issue.fish",
        "polygent-issue completion powershell | Out-String | Invoke-Expression",
    ):
        assert f"    {line}\n" in text
    error = empty_desk.run("completion", "tcsh", "--json").json["error"]
    assert (error["code"], "'tcsh' is not one of" in error["message"]) == ("usage", True)


def test_help_lists_no_hidden_command(empty_desk: Desk) -> None:
    """The commands of the scripts are not in the help."""
    assert EARLIER not in empty_desk.ok("--help").text


@pytest.mark.sqlite("a team's settings are loaded")
@pytest.mark.parametrize(
    ("words", "shunned"),
    [
        (("customer", "show", ""), {"pydantic", "keyring", "rich", "tomlkit", "cryptography"}),
        (("renew", ""), {"pydantic", "keyring", "rich"}),
        (("sign", "--plan", ""), {"pydantic", "keyring", "rich"}),
        (("verify", ""), {"pydantic", "keyring", "rich", "cryptography", "sqlite3"}),
    ],
)
def test_completion_imports_only_what_it_needs(
    books: Books, words: tuple[str, ...], shunned: set[str]
) -> None:
    """A user waits for it; a renewal without a document needs no pydantic either."""
    books.customer()
    program = (
        "import sys\n"
        "from polygent_issuer.cli.main import run\n"
        "run([])\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    bare = {"PATH": os.environ["PATH"], "POLYGENT_ISSUER_HOME": str(books.desk.home)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env={**bare, **asking("fish", words)},
    )
    assert bool(done.stdout) is (words[0] != "verify")
    assert not shunned & set(done.stderr.split())
