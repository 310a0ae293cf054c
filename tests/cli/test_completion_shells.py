"""TAB in bash, zsh and fish, pressed for real.

PowerShell was not at hand: nobody ran its script.
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
    """Customers, licenses and machines with every name that a stranger might choose."""
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
    """A shell whose home is the office's."""
    environ = {"POLYGENT_ISSUER_HOME": str(office.desk.home)}
    prompt = Prompt(request.param, tmp_path, environ)
    yield prompt
    prompt.close()


def test_a_line_is_written_with_tab(prompt: Prompt) -> None:
    """Commands, customers, options and their values, each filled in from its beginning."""
    keys = f"polygent-issue ren{TAB}gl{TAB}--ti{TAB}ent{TAB}--add-f{TAB}sso{TAB}"
    assert prompt.enter(keys) == [
        *("renew", "globex", "--tier", "enterprise", "--add-feature", "sso-saml"),
    ]
    keys = f"polygent-issue license sh{TAB}2b{TAB}--js{TAB}"
    assert prompt.enter(keys) == ["license", "show", "2b3a9c2e", "--json"]


def test_of_whom_the_line_speaks(prompt: Prompt) -> None:
    """Machines and licenses are those of the customer that is named before them."""
    keys = f"polygent-issue reissue acme --machine {TAB}--license 1{TAB}"
    assert prompt.enter(keys) == ["reissue", "acme", "--machine", "prod-1", "--license", "1f3a9c2e"]


def test_a_name_is_never_a_command(prompt: Prompt, tmp_path: Path) -> None:
    """Whatever a machine is called: what would have to be quoted is not offered, and not run."""
    for label in HOSTILE:
        first = f"\\{label[0]}" if label[0] in "$`~#" else label[0]
        assert label not in prompt.enter(f"polygent-issue renew rare --machine {first}{TAB}")
    assert prompt.enter(f"polygent-issue renew rare --machine {TAB}")[-1] == "db_1.site-2:a@b"
    assert not (tmp_path / "pwned").exists()


def test_descriptions_are_listed_and_run_nothing(prompt: Prompt, tmp_path: Path) -> None:
    """TAB without a beginning lists whose each slug is; a name that is a command stays a name."""
    keys = TAB if prompt.shell == "fish" else TAB * 2
    text = "globex" if prompt.shell == "bash" else "Globex touch pwned"  # which lists values alone
    prompt.sees(f"polygent-issue customer show {keys}", text)
    assert not (tmp_path / "pwned").exists()


def test_files_are_the_shell_s_own(prompt: Prompt, tmp_path: Path) -> None:
    """Where the tool offers nothing."""
    slash = "" if prompt.shell == "zsh" else "/"  # zsh takes it away again
    (tmp_path / "license of acme.lic").touch()
    (tmp_path / "licenses").mkdir()
    argv = prompt.enter(f"polygent-issue verify license\\ {TAB}")
    assert argv == ["verify", "license of acme.lic"]
    argv = prompt.enter(f"polygent-issue --home licenses{TAB}")
    assert argv == ["--home", f"licenses{slash}"]


def test_nothing_known_says_nothing(prompt: Prompt) -> None:
    """Neither a message nor a name of another home."""
    argv = prompt.enter(f"polygent-issue --home /nowhere renew ac{TAB}")
    assert argv == ["--home", "/nowhere", "renew", "ac"]


def test_a_home_on_the_line_counts(prompt: Prompt, office: Books) -> None:
    """Before the variable; `~` is the person's."""
    argv = prompt.enter(f"polygent-issue --home {office.desk.folder}/none renew ac{TAB}")
    assert argv[-1] == "ac"
    argv = prompt.enter(f"polygent-issue --home {office.desk.home} renew ac{TAB}")
    assert argv[-1] == "acme"


def test_a_path_to_the_tool_is_asked_itself(prompt: Prompt) -> None:
    """Also in an environment that nobody activated."""
    prompt.sees(f"{TOOL} rei{TAB}", "reissue")


def test_fish_loads_it_when_it_is_needed(office: Books, tmp_path: Path) -> None:
    """As the file that the help tells to write."""
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
