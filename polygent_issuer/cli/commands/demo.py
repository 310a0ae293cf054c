"""`polygent-issue demo`: a guided demo in a temporary home."""

import io
import secrets
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.blocks import Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import ExitCode
from polygent_issuer.terms import dates

_Step = tuple[dict[str, Any], list[Line]]
"""A command with its outcome, as JSON members and as lines of text."""

_PASSPHRASE = ("--passphrase-file", "passphrase")
_NO_MACHINE_ID = (
    "this machine has no machine id (a container?), so the demo uses an invented document"
)


def demo(invocation: Invocation) -> Report:
    """Run a guided demo in a temporary home.

    It creates a home, a signing key and this machine's machine-info.json, signs a license and
    verifies it as a server would. It also shows a tampered copy, a renewal and the journal. All
    commands are real; their files go to a new folder, which is kept.
    """
    folder = Path(tempfile.mkdtemp(prefix="polygent-demo-"))
    with chdir(folder):
        Path("passphrase").touch(mode=0o600)
        Path("passphrase").write_text(f"{secrets.token_urlsafe(24)}\n", encoding="ascii")
        steps = tuple(_steps(invocation, folder))
    commands = [members for members, _ in steps]
    good = all(each["exit_code"] == each["expected"] for each in commands)
    home = f"$ cd {shlex.quote(str(folder))}; export POLYGENT_ISSUER_HOME=$PWD/home"
    end = Line(f"the files are in {folder}; nothing else was changed", "good")
    return Report(
        {"folder": str(folder), "steps": commands},
        [Line(home), *(line for _, lines in steps for line in lines), Line(), end],
        ExitCode.DONE if good else ExitCode.BUG,
    )


def _steps(invocation: Invocation, folder: Path) -> Iterator[_Step]:
    from polygent_issuer.cli.main import run

    environ = {**invocation.environ, "POLYGENT_ISSUER_HOME": str(folder / "home")}

    def step(title: str, *command: str, expected: int = 0) -> _Step:
        output = io.BytesIO()
        stream = io.TextIOWrapper(output, encoding="utf-8", write_through=True)
        with redirect_stdout(stream), redirect_stderr(stream):
            code = run(["--no-input", *command], now=invocation.now, environ=environ)
        text = [
            Line(),
            Line(f"# {title}", "title"),
            Line(f"$ polygent-issue {shlex.join(command)}", "good"),
            *(Line(line, indent=1) for line in output.getvalue().decode().splitlines()),
        ]
        if code != expected:
            text.append(Line(f"exit {code}, but {expected} was expected", "bad"))
        elif code:
            text.append(Line(f"exit {code}, as expected", "dim", 1))
        return {"command": list(command), "exit_code": code, "expected": expected}, text

    yield step("create a home", "init", "--issuer", "Demo Ltd", "--upload-window", "7d")
    key = ("--store", f"file:{folder / 'demo.key'}", "--no-backup", *_PASSPHRASE)
    yield step("generate a signing key", "key", "generate", "demo", *key)
    document = ("--output", "machine-info.json", "--customer", "Acme GmbH")
    info = step("describe this machine, as the server would", "machine-info", "create", *document)
    if info[0]["exit_code"]:
        _invent_document(invocation)
        info = step(_NO_MACHINE_ID, "machine-info", "check", "machine-info.json")
    yield info
    sign = ("--machine-info", "machine-info.json", "--output", "acme.lic", *_PASSPHRASE)
    yield step("sign the first license", "sign", *sign)
    upload = ("acme.lic", "--machine-info", "machine-info.json", "--install")
    yield step("verify it as the server would at the upload", "verify", *upload)
    _tamper(Path("acme.lic"), Path("tampered.lic"))
    forged = ExitCode.NOT_AUTHENTIC
    yield step("verify a copy with one letter changed", "verify", "tampered.lic", expected=forged)
    early = ("--accept", "not-due", "--reason", "to show it", "--output", "acme-next.lic")
    yield step("renew it early, which needs consent", "renew", "acme-gmbh", *early, *_PASSPHRASE)
    yield step("check the journal", "journal", "verify")


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
