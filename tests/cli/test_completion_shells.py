"""Completion with TAB in real shells: bash, zsh and fish.

The script for PowerShell is not tested.
"""

import os
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Desk
from support.licenses import Books
from support.shells import SHELLS, TAB, Prompt
from support.tools import require_tool

pytestmark = pytest.mark.slow

TOOL = Path(sysconfig.get_path("scripts")) / "polygent-issue"
_REST = "-0000-4000-8000-000000000000"
HOSTILE = (
    "$(touch pwned)",
    "`touch pwned`",
    """it's "one" \\ of""",
    "a;touch pwned|b&c>d",
    "~root *?[x]{a,b}",
    "#no %comment ^x",
    "Z\u00fcrich \u2013 1",
)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """Set up customers, licenses and machines, some with hostile names."""
    books = Books(Desk(tmp_path_factory.mktemp("office"))).open()
    acme = books.customer("$(touch pwned)", "acme")
    books.license(acme, books.machine(acme, "prod-1"), license_id=f"1f3a9c2e{_REST}")
    books.license(acme, license_id=f"2b3a9c2e{_REST}")
    books.customer("Globex `touch pwned`", "globex")
    rare = books.customer("Rare \"; touch pwned; '", "rare")
    for number, label in enumerate((*HOSTILE, "db_1.site-2:a@b")):
        books.machine(rare, label, f"sha256:{number:064x}")
    return books


@pytest.fixture(params=SHELLS)
def prompt(request: pytest.FixtureRequest, office: Books, tmp_path: Path) -> Iterator[Prompt]:
    """Start a shell with the office's home."""
    environ = {"POLYGENT_ISSUER_HOME": str(office.desk.home)}
    prompt = Prompt(request.param, tmp_path, environ)
    yield prompt
    prompt.close()


def test_tab_completes_commands_options_and_values(prompt: Prompt) -> None:
    """TAB completes commands, customers, options and values from their beginnings."""
    keys = f"polygent-issue ren{TAB}gl{TAB}--ti{TAB}ent{TAB}--add-f{TAB}sso{TAB}"
    assert prompt.enter(keys) == [
        *("renew", "globex", "--tier", "enterprise", "--add-feature", "sso-saml"),
    ]
    keys = f"polygent-issue license sh{TAB}2b{TAB}--js{TAB}"
    assert prompt.enter(keys) == ["license", "show", "2b3a9c2e", "--json"]


def test_tab_offers_machines_and_licenses_of_the_customer(prompt: Prompt) -> None:
    """TAB offers only machines and licenses of the customer on the line."""
    keys = f"polygent-issue reissue acme --machine {TAB}--license 1{TAB}"
    assert prompt.enter(keys) == ["reissue", "acme", "--machine", "prod-1", "--license", "1f3a9c2e"]


def test_tab_does_not_offer_a_name_that_needs_quotes(prompt: Prompt, tmp_path: Path) -> None:
    """A label with shell characters is neither offered nor run."""
    for label in HOSTILE:
        first = f"\\{label[0]}" if label[0] in "$`~#" else label[0]
        assert label not in prompt.enter(f"polygent-issue renew rare --machine {first}{TAB}")
    assert prompt.enter(f"polygent-issue renew rare --machine {TAB}")[-1] == "db_1.site-2:a@b"
    assert not (tmp_path / "pwned").exists()


def test_descriptions_are_listed_and_run_nothing(prompt: Prompt, tmp_path: Path) -> None:
    """TAB lists slugs with the customers' names; a name that is a command is not run."""
    keys = TAB if prompt.shell == "fish" else TAB * 2
    text = "globex" if prompt.shell == "bash" else "Globex touch pwned"  # which lists values alone
    prompt.sees(f"polygent-issue customer show {keys}", text)
    assert not (tmp_path / "pwned").exists()


def test_the_shell_completes_file_names(prompt: Prompt, tmp_path: Path) -> None:
    """The shell completes files where the tool offers no values."""
    slash = "" if prompt.shell == "zsh" else "/"  # zsh removes it again
    (tmp_path / "license of acme.lic").touch()
    (tmp_path / "licenses").mkdir()
    argv = prompt.enter(f"polygent-issue verify license\\ {TAB}")
    assert argv == ["verify", "license of acme.lic"]
    argv = prompt.enter(f"polygent-issue --home licenses{TAB}")
    assert argv == ["--home", f"licenses{slash}"]


def test_tab_with_a_missing_home_prints_nothing(prompt: Prompt) -> None:
    """TAB prints no message, and offers no name of another home."""
    argv = prompt.enter(f"polygent-issue --home /nowhere renew ac{TAB}")
    assert argv == ["--home", "/nowhere", "renew", "ac"]


def test_tab_uses_the_home_on_the_line(prompt: Prompt, office: Books) -> None:
    """`--home` on the line overrides the variable."""
    argv = prompt.enter(f"polygent-issue --home {office.desk.folder}/none renew ac{TAB}")
    assert argv[-1] == "ac"
    argv = prompt.enter(f"polygent-issue --home {office.desk.home} renew ac{TAB}")
    assert argv[-1] == "acme"


def test_tab_completes_after_a_path_to_the_tool(prompt: Prompt) -> None:
    """A path to the tool works without an activated environment."""
    prompt.sees(f"{TOOL} rei{TAB}", "reissue")


def test_fish_loads_the_script_on_demand(office: Books, tmp_path: Path) -> None:
    """The script works as the file that the help names."""
    folder = tmp_path / ".config" / "fish" / "completions"
    folder.mkdir(parents=True)
    (folder / "polygent-issue.fish").write_text(office.desk.ok("completion", "fish").text)
    done = subprocess.run(
        [require_tool("fish", "fish"), "-c", "complete -C 'polygent-issue customer show gl'"],
        capture_output=True,
        check=True,
        env={
            "HOME": str(tmp_path),
            "PATH": f"{TOOL.parent}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "POLYGENT_ISSUER_HOME": str(office.desk.home),
        },
    )
    assert done.stdout.decode() == "globex\tGlobex touch pwned\n"
