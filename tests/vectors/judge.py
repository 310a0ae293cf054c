"""The comparison of this project's verdicts with those that the vectors expect."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from typing import Any, Final

from vectors import server_judge
from vectors.times import instant

from polygent_issuer.registry import seals as registry_seals
from polygent_issuer.registry.row_check import GENESIS, chain_hash
from polygent_issuer.verifier import (
    AllowedDomain,
    ClockGuard,
    InvalidDomain,
    InvalidKey,
    Key,
    KeySet,
    LicenseError,
    Verifier,
)
from polygent_issuer.verifier.license import (
    canonical_fingerprint,
    display_name_problem,
    is_feature_name,
    is_license_id,
    is_slug,
)

SERVER_LICENSES: Final = "enforcement/licenses.json"
"""The licenses of all other documents in that folder."""


def problems(files: dict[str, bytes]) -> list[str]:
    """Describe each vector whose verdict differs, in the JSON documents among these files."""
    judges: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
        "licenses.json": licenses,
        "domains.json": domains,
        "fingerprints.json": fingerprints,
        "names.json": names,
        "keys.json": keys,
        "clocks.json": clocks,
        "seals.json": seals,
    }
    servers = server_judge.Judge(json.loads(files[SERVER_LICENSES]))
    of_servers = {name for name in files if name.startswith("enforcement/")} - {SERVER_LICENSES}
    judges |= dict.fromkeys(sorted(of_servers), servers.problems)
    return [
        f"{name}: {problem}"
        for name, judge in judges.items()
        for problem in judge(json.loads(files[name]))
    ]


def guard(document: dict[str, Any] | None) -> ClockGuard | None:
    """Return the clock guard that a vector describes."""
    if document is None:
        return None
    seen = document["lastSeen"]
    return ClockGuard(None if seen is None else instant(seen), document["tampered"])


def circumstances(vector: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Verifier.verify` other than the file."""
    window = vector["freshnessWindowSeconds"]
    return {
        "now": instant(vector["now"]),
        "fingerprint": vector["fingerprint"],
        "host": vector["host"],
        "freshness_window": None if window is None else timedelta(seconds=window),
        "clock": guard(vector["clock"]),
    }


def licenses(document: dict[str, Any]) -> Iterator[str]:
    """Compare the codes of `verify` and `report` with the expected one."""
    trusted = KeySet.from_jwks(json.dumps({"keys": document["keys"]}).encode(), allow_example=True)
    verifier = Verifier(trusted)
    for vector in document["vectors"]:
        data = base64.b64decode(vector["file"])
        arguments = circumstances(vector)
        try:
            verifier.verify(data, **arguments)
            code = "ok"
        except LicenseError as error:
            code = str(error.code)
        failure = verifier.report(data, **arguments).failure
        reported = "ok" if failure is None else str(failure.code)
        if not code == reported == vector["expected"]:
            yield f"{vector['name']}: {vector['expected']}, but {code} (report: {reported})"


def seals(document: dict[str, Any]) -> Iterator[str]:
    """Seals of a journal."""
    keys = KeySet.from_jwks(json.dumps({"keys": document["keys"]}).encode(), allow_example=True)
    heads = [GENESIS]
    for row in document["rows"]:
        heads.append(chain_hash(heads[-1], base64.b64decode(row)))
    for vector in document["vectors"]:
        is_valid = any(_seals(vector["seal"], key, document["registry"], heads) for key in keys)
        if is_valid is not (vector["expected"] == "ok"):
            yield f"{vector['name']}: {vector['expected']}, but {is_valid}"


def _seals(text: str, key: Key, registry: str, heads: list[bytes]) -> bool:
    try:
        seal = registry_seals.read(text, key, registry=registry)
    except ValueError:
        return False
    return seal.seq < len(heads) and heads[seal.seq].hex() == seal.head


def domains(document: dict[str, Any]) -> Iterator[str]:
    """Domains and hosts."""
    for text in document["valid"]:
        if not _is_domain(text):
            yield f"{text!r} should be a domain"
    for text in document["invalid"]:
        if _is_domain(text):
            yield f"{text!r} should be no domain"
    for vector in document["hosts"]:
        domain = AllowedDomain.parse(vector["allowedDomain"])
        if domain.matches(vector["host"]) is not vector["matches"]:
            yield f"{domain} and {vector['host']!r}: {vector['matches']}"


def _is_domain(text: str) -> bool:
    try:
        AllowedDomain.parse(text)
    except InvalidDomain:
        return False
    return True


def fingerprints(document: dict[str, Any]) -> Iterator[str]:
    """Fingerprints and their canonical forms."""
    for vector in document["fingerprints"]:
        if canonical_fingerprint(vector["given"]) != vector["canonical"]:
            yield f"{vector['given']!r} should be {vector['canonical']!r}"


def names(document: dict[str, Any]) -> Iterator[str]:
    """Display names, slugs, features, license ids."""
    judges: dict[str, Callable[[str], bool]] = {
        "displayName": lambda text: display_name_problem(text) is None,
        "slug": is_slug,
        "feature": is_feature_name,
        "licenseId": is_license_id,
    }
    for kind, judge in judges.items():
        for verdict, expected in (("valid", True), ("invalid", False)):
            for text in document[kind][verdict]:
                if judge(text) is not expected:
                    yield f"{kind} {text!r} should be {verdict}"


def keys(document: dict[str, Any]) -> Iterator[str]:
    """PEM files and JWK Sets."""
    readers: dict[str, Callable[[bytes], KeySet]] = {
        "pem": lambda data: KeySet.from_pem(data, allow_example=True),
        "jwks": lambda data: KeySet.from_jwks(data, allow_example=True),
    }
    for form, read in readers.items():
        for vector in document[form]:
            try:
                read(base64.b64decode(vector["data"]))
                code = "ok"
            except InvalidKey as error:
                code = error.code
            if code != vector["expected"]:
                yield f"{vector['name']}: {vector['expected']}, but {code}"


def clocks(document: dict[str, Any]) -> Iterator[str]:
    """Compare one observation of each guard."""
    for vector in document["clocks"]:
        before, after = guard(vector["guard"]), guard(vector["then"])
        assert before is not None
        if before.observe(instant(vector["now"]).astimezone(UTC)) != after:
            yield f"{vector['name']}: should be {after}"
