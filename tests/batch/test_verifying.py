"""Many files in brief: the verdict of each is the one that it has alone."""

import json
from datetime import timedelta
from typing import Any

import pytest
from support.lic_files import ISSUED, Issuer, license_id
from support.office import ADA

from polygent_issuer.batch.sources import Source
from polygent_issuer.batch.verifying import Examiner
from polygent_issuer.errors import UnreadableInput
from polygent_issuer.issuing.judging import Server, Verdict, judge
from polygent_issuer.registry import Registry, customers, keys, licenses, machines
from polygent_issuer.verifier import KeySet, jws

NOW = ISSUED + timedelta(days=30)
OTHER = "sha256:" + "cd" * 32
LEAKED, STRANGER = Issuer(), Issuer()
SERVERS: dict[str, dict[str, Any]] = {
    "nobody said": {},
    "the machine": {"fingerprint": "sha256:" + "ab" * 32},
    "another machine": {"fingerprint": OTHER},
    "no fingerprint": {"fingerprint": "short"},
    "a host": {"host": "api.acme.internal"},
    "an installation": {"window": timedelta(days=7)},
    "later": {"now": NOW + timedelta(days=400)},
    "before": {"now": NOW - timedelta(days=400)},
}


@pytest.fixture
def books(registry: Registry, issuer: Issuer) -> Registry:
    """License 1 for a machine that is another today, 2 replaced by 3, 3 retired; a leaked key."""
    with registry.writing(now=NOW, actor=ADA) as db:
        for label, each in (("main", issuer), ("leaked", LEAKED)):
            keys.add(db, key=each.signer.public_key, label=label)
        keys.retire(db, LEAKED.signer.kid, compromised=True)
        customer = customers.add(db, slug="acme", name="Acme GmbH")
        identity: dict[str, Any] = {"hostname": None, "components": {}, "document_id": None}
        machine = machines.add(db, customer, label="prod-1", fingerprint=OTHER, **identity)
        for number, place in ((1, machine.id), (2, None), (3, None)):
            licenses.add(
                db,
                license_id=license_id(number),
                customer_id=customer.id,
                machine_id=place,
                kid=issuer.signer.kid,
                file=issuer.file(number),
                tier="standard" if place else "enterprise",
                issued_at=NOW,
                expires_at=NOW + timedelta(days=1),
                term=None,
                plan=None,
                document_id=None,
            )
        licenses.replace(db, license_id(2), license_id(3))
        licenses.retire(db, license_id(3), "gone")
        db.record("test")
    return registry


@pytest.fixture
def sources(issuer: Issuer) -> list[Source]:
    """A file of each kind."""
    good = issuer.file(1)
    token = jws.parse(good)
    found = {
        "machine known": good,
        "replaced": issuer.file(2),
        "retired": issuer.file(3, fingerprint=None),
        "not in the registry": issuer.file(4),
        "enterprise": issuer.file(5, fingerprint=None),
        "changed": jws.assemble(token.signing_input, b"\1" * 64),
        "wrong claims": issuer.file(6, customer=" "),
        "leaked key": LEAKED.file(7),
        "unknown key": STRANGER.file(8),
        "wrapped": b"\n".join((good[:76], good[76:])),
        "a document": json.dumps({"format": "polygent-machine-info/1"}).encode(),
        "empty": b"",
    }
    return [Source(name=name, data=data) for name, data in found.items()]


@pytest.mark.parametrize("known", [True, False], ids=["registry", "keys alone"])
@pytest.mark.parametrize("given", SERVERS.values(), ids=SERVERS)
def test_each_verdict_is_the_one_of_the_file_alone(
    books: Registry, issuer: Issuer, sources: list[Source], given: dict[str, Any], *, known: bool
) -> None:
    """The same check fails, in the same words, whoever the server is."""
    server = Server(**{"now": NOW, "fingerprint": None, "host": None, "window": None, **given})
    trusted = KeySet.of(issuer.signer.public_key)
    briefs = Examiner(trusted, server, books if known else None).judge(sources)
    assert [each.name for each in briefs] == [each.name for each in sources]
    with books.reading() as db:
        for brief, source in zip(briefs, sources, strict=True):
            alone = judge(source.name, source.data, trusted, server, db if known else None)
            assert brief.verdict is alone.verdict
            assert brief.failed == alone.report.failure
            found = brief.standing
            status = None if found is None else (found.replaced_by, found.retired)
            kept = alone.kept if alone.license else None
            expected = kept and (kept.replaced_by, kept.retired_at is not None)
            assert status == expected


def test_every_verdict_is_among_them(books: Registry, issuer: Issuer) -> None:
    """A file that cannot be read is one of the answers, with why."""
    problem = UnreadableInput("cannot read the license file x: gone")
    server = Server(now=NOW, fingerprint=None, host=None, window=None)
    examiner = Examiner(KeySet.of(issuer.signer.public_key), server, books)
    [brief] = examiner.judge([Source(name="x", problem=problem)])
    assert (brief.verdict, brief.problem) == (Verdict.UNREADABLE, problem)
    assert examiner.judge([]) == []
