"""`polygent-issue demo`: the main job, for real, in a throw-away home."""

import io
import secrets
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import ExitCode
from polygent_issuer.terms import dates

_Step = tuple[dict[str, Any], list[Line]]
"""A command as one would type it and how it ended: for programs, and for people."""

_PASSPHRASE = ("--passphrase-file", "passphrase")
_NO_MACHINE_ID = "this machine has no machine id (a container?): an invented document stands in"


def demo(invocation: Invocation) -> Report:
    """Walk through the main job in a throw-away home.

    A key, this machine's machine-info.json, a license, its verification as the server would do
    it, a tampered copy, a renewal, the journal. Everything happens for real, in a new folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="polygent-demo-"))
    with chdir(folder):
        Path("passphrase").touch(mode=0o600)
        Path("passphrase").write_text(f"{secrets.token_urlsafe(24)}\n", encoding="ascii")
        steps = tuple(_steps(invocation, folder))
    made = [each for each, _ in steps]
    good = all(each["exit_code"] == each["expected"] for each in made)
    home = f"$ cd {shlex.quote(str(folder))}; export POLYGENT_ISSUER_HOME=$PWD/home"
    end = Line(f"the files are in {folder}; nothing else was touched", "good")
    return Report(
        {"folder": str(folder), "steps": made},
        [Line(home), *(line for _, lines in steps for line in lines), Line(), end],
        ExitCode.DONE if good else ExitCode.BUG,
    )


def _steps(invocation: Invocation, folder: Path) -> Iterator[_Step]:
    from polygent_issuer.cli.main import run

    environ = {**invocation.environ, "POLYGENT_ISSUER_HOME": str(folder / "home")}

    def step(title: str, *command: str, wanted: int = 0) -> _Step:
        with _captured() as output:
            code = run(["--no-input", *command], now=invocation.now, environ=environ)
        text = [
            Line(),
            Line(f"# {title}", "title"),
            Line(f"$ polygent-issue {shlex.join(command)}", "good"),
            *(Line(line, indent=1) for line in output.getvalue().decode().splitlines()),
        ]
        if code != wanted:
            text.append(Line(f"exit {code}, but {wanted} was expected", "bad"))
        elif code:
            text.append(Line(f"exit {code}, as it should be", "dim", 1))
        return {"command": list(command), "exit_code": code, "expected": wanted}, text

    yield step("a home", "init", "--issuer", "Demo Ltd", "--upload-window", "7d")
    key = ("--store", f"file:{folder / 'demo.key'}", "--no-backup", *_PASSPHRASE)
    yield step("a signing key", "key", "generate", "demo", *key)
    document = ("--output", "machine-info.json", "--customer", "Acme GmbH")
    made = step("what the customer's server would download", "machine-info", "create", *document)
    if made[0]["exit_code"]:
        _invent_document(invocation)
        made = step(_NO_MACHINE_ID, "machine-info", "check", "machine-info.json")
    yield made
    sign = ("--machine-info", "machine-info.json", "--output", "acme.lic", *_PASSPHRASE)
    yield step("the first license", "sign", *sign)
    upload = ("acme.lic", "--machine-info", "machine-info.json", "--install")
    yield step("what the server says at the upload", "verify", *upload)
    _tamper(Path("acme.lic"), Path("tampered.lic"))
    forged = ExitCode.NOT_AUTHENTIC
    yield step("one letter of it changed", "verify", "tampered.lic", wanted=forged)
    early = ("--accept", "not-due", "--reason", "to show it", "--output", "acme-next.lic")
    yield step(
        "the next one, early, so it needs consent", "renew", "acme-gmbh", *early, *_PASSPHRASE
    )
    yield step("the journal", "journal", "verify")


@contextmanager
def _captured() -> Iterator[io.BytesIO]:
    """Stdout and stderr of a command, as one text in their order."""
    output = io.BytesIO()
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = io.TextIOWrapper(output, encoding="utf-8", write_through=True)
    try:
        yield output
    finally:
        sys.stdout.detach()
        sys.stdout, sys.stderr = before


def _invent_document(invocation: Invocation) -> None:
    now = dates.instant(invocation.now)
    fingerprint = f"sha256:{secrets.token_hex(32)}"
    text = f'{{"fingerprint":"{fingerprint}","generatedAt":"{now}","customer":"Acme GmbH"}}'
    Path("machine-info.json").write_text(text, encoding="ascii")


def _tamper(source: Path, target: Path) -> None:
    """Change one letter in the middle of the payload."""
    text = source.read_text(encoding="ascii")
    middle = len(text) // 2
    other = "A" if text[middle] != "A" else "B"
    target.write_text(text[:middle] + other + text[middle + 1 :], encoding="ascii")
