"""Writes the golden files and vectors, or checks those in this folder.

    python tests/vectors/make.py            checks that the files are what this script makes
    python tests/vectors/make.py --write    writes them

It first compares the verdict in every vector with that of this project's verifier. Signatures are
deterministic (RFC 6979), so the files are the same on every machine.
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
sys.path[:0] = [str(HERE.parent)] if str(HERE.parent) not in sys.path else []

from vectors import (  # noqa: E402 - as a script, the parent folder must be added to the path first
    acceptance_cases,
    alert_cases,
    clock_cases,
    example,
    form_cases,
    golden,
    install_cases,
    judge,
    key_cases,
    limit_cases,
    payload_cases,
    request_cases,
    seal_cases,
    server_licenses,
    times,
    word_cases,
    worker_cases,
)
from vectors.signing import EXAMPLE, SECOND  # noqa: E402 - the same


def main(argv: list[str] | None = None) -> int:
    """Check or write; return 1 if a file or verdict is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the files")
    write = parser.parse_args(argv).write
    made = everything()
    problems = judge.problems(
        {
            path.relative_to(HERE).as_posix(): data
            for path, data in made.items()
            if path.is_relative_to(HERE)
        }
    )
    if write and not problems:
        for path, data in made.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    problems += [
        f"{path.relative_to(ROOT)} is not what make.py --write gives"
        for path, data in made.items()
        if not path.is_file() or path.read_bytes() != data
    ]
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


def everything() -> dict[Path, bytes]:
    """Return the files that this script makes, with their bytes."""
    documents = {
        "licenses.json": licenses(),
        **word_cases.documents(),
        **key_cases.documents(),
        **seal_cases.documents(),
        **{f"enforcement/{name}.json": document for name, document in servers().items()},
    }
    return {
        **{HERE / name: _text(document) for name, document in documents.items()},
        **{HERE / "golden" / name: data for name, data in golden.files().items()},
        **{ROOT / "keys.example" / name: data for name, data in example.files().items()},
    }


def licenses() -> dict[str, Any]:
    """The document `licenses.json`."""
    cases = [*form_cases.every(), *payload_cases.every(), *acceptance_cases.every()]
    return {
        "keys": [EXAMPLE.jwk, SECOND.jwk],
        "vectors": [case.to_json() for case in cases],
    }


def servers() -> dict[str, dict[str, Any]]:
    """The documents of the folder `enforcement`, by name."""
    vectors = {
        "installations": install_cases.every(),
        "clocks": clock_cases.every(),
        "requests": request_cases.every(),
        "limits": limit_cases.every(),
        "alerts": alert_cases.every(),
        "workers": worker_cases.every(),
    }
    return {
        "licenses": server_licenses.document(),
        **{name: {"vectors": cases} for name, cases in vectors.items()},
    }


def _text(document: object) -> bytes:
    # escaped, so that no editor or checkout changes invisible characters
    text = json.dumps(times.with_microseconds(document), indent=1, ensure_ascii=True)
    return text.encode() + b"\n"


if __name__ == "__main__":
    logging.disable()  # vectors have refusals, which a server logs
    sys.exit(main())
