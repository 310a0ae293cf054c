"""Import of license files into an empty registry: only authentic ones, in any order."""

from collections.abc import Iterable
from contextlib import closing
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.lic_files import Issuer, license_id
from support.registries import ACTOR, NOW, tampering, writing

from polygent_issuer.batch.registry_import import ImportPlan, RejectedFile, carry_out, decide
from polygent_issuer.errors import KeyUnavailable, UnreadableInput
from polygent_issuer.issuing.verification import LicenseFile
from polygent_issuer.registry import (
    Registry,
    customers,
    journal,
    journal_check,
    keys,
    licenses,
    machines,
)
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.verifier import Key

FP = {name: f"sha256:{name * 64}" for name in "abc"}
EXAMPLES = Path(__file__).parents[2] / "keys.example"


def sources(*files: bytes) -> list[LicenseFile]:
    """Files by number."""
    return [LicenseFile(name=f"{number}.lic", data=data) for number, data in enumerate(files)]


def import_files(registry: Registry, issuer: Issuer, *files: bytes, **more: Any) -> ImportPlan:
    """Import files with the key that signed them."""
    files_ = sources(*files)
    named = more.get("named", (issuer.signer.public_key,))
    with registry.reading() as db:
        decided = decide(db, files_, named)
    with registry.writing(now=NOW, actor=ACTOR) as db:
        assert decide(db, files_, named) == decided
        carry_out(db, decided)
        if not decided.new:
            db.record("test")
    with registry.reading() as db:
        assert journal_check.verify(db).problems == ()
    return decided


def codes(decided: ImportPlan) -> list[str]:
    """Return the outcome of each file."""
    return [
        each.code
        if isinstance(each, RejectedFile)
        else type(each).__name__.removesuffix("License").lower()
        for each in decided.outcomes
    ]


def content(registry: Registry) -> dict[str, Any]:
    """Return the content of the registry, without row IDs and times."""
    with registry.reading() as db:
        return {
            "customers": {
                each.slug: (
                    each.name,
                    sorted((m.label, m.fingerprint) for m in machines.of(db, each)),
                )
                for each in customers.every(db)
            },
            "licenses": [
                (
                    *(one.id, one.customer_slug, one.machine_label, one.kid, one.file, one.tier),
                    *(one.issued_at, one.expires_at, one.term, one.plan, one.replaced_by),
                )
                for one in licenses.select(db)
            ],
            "journal": [(row.event, row.license, row.customer) for row in journal.rows(db)],
        }


def test_all_data_of_the_files_is_imported(registry: Registry, issuer: Issuer) -> None:
    """Customers by their newest name, machines by fingerprint, and replaced licenses."""
    decided = import_files(
        registry,
        issuer,
        issuer.file(1, customer="Acme", fingerprint=FP["a"]),
        issuer.file(2, customer="Acme GmbH", fingerprint=FP["a"], replaces=(1,)),
        issuer.file(3, customer="Acme alt", fingerprint=FP["b"], iat=1_700_000_000),
        issuer.file(4, sub="globex", customer="Globe\u0301x", fingerprint=None),
    )
    assert codes(decided) == ["imported"] * 4
    assert decided.customers == {"acme": "Acme GmbH", "globex": "Glob\u00e9x"}
    assert decided.machines == (("acme", FP["a"]), ("acme", FP["b"]))
    assert decided.replaced == {license_id(1): license_id(2)}
    held = content(registry)
    assert held["customers"] == {
        "acme": ("Acme GmbH", [("machine", FP["b"]), ("machine-2", FP["a"])]),
        "globex": ("Glob\u00e9x", []),
    }
    by_id = {one[0]: one for one in held["licenses"]}
    assert by_id[license_id(1)][-1] == license_id(2)
    assert [one[-1] for one in held["licenses"] if one[0] != license_id(1)] == [None] * 3
    assert by_id[license_id(2)][4] == issuer.file(
        2, customer="Acme GmbH", fingerprint=FP["a"], replaces=(1,)
    )
    assert held["journal"] == [
        ("registry-created", None, None),
        ("registry-imported", None, None),
        ("registry-imported", license_id(3), "acme"),
        ("registry-imported", license_id(1), "acme"),
        ("registry-imported", license_id(2), "acme"),
        ("registry-imported", license_id(4), "globex"),
    ]
    with registry.reading() as db:
        (key,) = keys.every(db)
    assert (key.kid, key.label, key.active) == (issuer.signer.kid, "main", True)


def test_a_second_import_changes_nothing(registry: Registry, issuer: Issuer) -> None:
    """The same bytes exist already, even with line ends that a mail program changed."""
    one, two = issuer.file(1), issuer.file(2, replaces=(1,))
    import_files(registry, issuer, one, one)
    before = content(registry)
    decided = import_files(registry, issuer, one, b"\xef\xbb\xbf " + one.strip() + b"\r\n\r\n")
    assert codes(decided) == ["existing", "existing"]
    assert decided.keys == ()
    decided = import_files(registry, issuer, two, one)
    assert codes(decided) == ["imported", "existing"]
    after = content(registry)
    assert {line[0]: line[-1] for line in after["licenses"]}[license_id(1)] == license_id(2)
    assert after["customers"] == before["customers"]


def shuffled(issuer: Issuer) -> list[bytes]:
    """A history with everything that could depend on the order."""
    return [
        issuer.file(1, customer="Acme", fingerprint=FP["a"]),
        issuer.file(2, customer="Acme AG", fingerprint=FP["b"], replaces=(1,)),
        issuer.file(3, customer="Acme SE", fingerprint=FP["c"], replaces=(2, 9)),
        issuer.file(4, customer="Acme Ltd", fingerprint=FP["a"], replaces=(1,)),
        issuer.file(5, sub="globex", customer="Globex", fingerprint=FP["a"]),
    ]


def outcome_of(folder: Path, issuer: Issuer, files: Iterable[bytes]) -> Any:
    """Return the content of a new registry after an import."""
    folder.mkdir()
    made = Registry.create(folder / "r.db", now=NOW, actor=ACTOR, registry_id="r")
    with closing(made):
        decided = import_files(made, issuer, *files)
        return content(made), decided.missing, sorted(codes(decided))


def test_the_order_of_the_files_does_not_matter(tmp_path: Path, issuer: Issuer) -> None:
    """Every permutation gives the same registry, including the labels."""
    files = shuffled(issuer)
    expected, missing, _ = outcome_of(tmp_path / "first", issuer, files)
    assert missing == ((license_id(9), license_id(3)),)
    assert {one[0]: one[-1] for one in expected["licenses"]} == {
        license_id(1): license_id(4),
        license_id(2): license_id(3),
        license_id(3): None,
        license_id(4): None,
        license_id(5): None,
    }
    for number, order in enumerate(list(permutations(files))[::11]):
        assert outcome_of(tmp_path / str(number), issuer, order)[0] == expected


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_refused_files_do_not_affect_the_others(
    tmp_path: Path, issuer: Issuer, data: st.DataObject
) -> None:
    """Garbage, forgeries and contradicting files may be anywhere among them."""
    files = shuffled(issuer)
    bad = [
        b"",
        b"rubbish",
        Issuer().file(7),
        files[0].replace(b".", b".A", 1),
        issuer.file(8, customer="One"),
        issuer.file(8, customer="Two"),
    ]
    order = data.draw(st.permutations([*files, *bad]))
    number = len(list(tmp_path.iterdir()))
    expected = outcome_of(tmp_path / f"{number}-good", issuer, files)[0]
    held, _, found = outcome_of(tmp_path / f"{number}-all", issuer, order)
    assert held == expected
    assert found.count("imported") == len(files)
    assert found.count("other_bytes") == 2


def test_each_refusal_has_a_reason(registry: Registry, issuer: Issuer) -> None:
    """Each file has an outcome with a code, a reason and a hint, in the order of the files."""
    file = issuer.file(1)
    payload = file.split(b".")[1]
    example = (EXAMPLES / "example.lic").read_bytes()
    found = [
        *sources(
            b"rubbish",
            file.replace(payload, payload[:-4] + b"AAAA"),
            issuer.file(2, sub="No Slug"),
            Issuer().file(3),
            example,
            file,
        ),
        LicenseFile(
            name="no.lic", problem=UnreadableInput("cannot read it", hint="check the path")
        ),
    ]
    with registry.reading() as db:
        decided = decide(db, found, (issuer.signer.public_key,))
    assert codes(decided) == [
        "malformed",
        "bad_signature",
        "invalid_claims",
        "unknown_key",
        "example_key",
        "imported",
        "unreadable_input",
    ]
    unknown = decided.refused[3]
    assert "not pinned here" in unknown.message
    assert unknown.hint is not None
    assert "--public-key FILE" in unknown.hint
    assert decided.refused[-1].message == "cannot read it"


def test_a_file_of_a_compromised_key_is_refused(registry: Registry, issuer: Issuer) -> None:
    """It is refused even if the public key is named once more."""
    with writing(registry) as db:
        keys.add(db, key=issuer.signer.public_key, label="leaked")
        db.update("keys", issuer.signer.kid, compromised=1)
    decided = import_files(registry, issuer, issuer.file(1))
    assert codes(decided) == ["key_compromised"]
    assert "leaked" in decided.refused[0].message
    assert content(registry)["licenses"] == []


def test_the_example_key_is_not_pinned(registry: Registry) -> None:
    """The error explains that it is the example key."""
    example = Key.from_pem((EXAMPLES / "public.pem").read_bytes(), allow_example=True)
    with (
        registry.reading() as db,
        pytest.raises(KeyUnavailable, check=lambda error: error.code == "example_key"),
    ):
        decide(db, sources((EXAMPLES / "example.lic").read_bytes()), (example,))


def test_a_key_without_licenses_is_not_pinned(registry: Registry, issuer: Issuer) -> None:
    """A wrong public key leaves no trace."""
    other = Issuer().signer.public_key
    decided = import_files(registry, issuer, issuer.file(1), named=(other,))
    assert (codes(decided), decided.keys) == (["unknown_key"], ())
    with registry.reading() as db:
        assert keys.every(db) == ()


def test_the_same_id_with_other_bytes_is_refused(registry: Registry, issuer: Issuer) -> None:
    """The license in the registry stays; of two new files with one ID both are refused."""
    import_files(registry, issuer, issuer.file(1))
    before = content(registry)
    decided = import_files(registry, issuer, issuer.file(1, customer="Evil"))
    assert codes(decided) == ["other_bytes"]
    assert decided.refused[0].message == (
        f"the registry contains license {license_id(1)} with different content"
    )
    decided = import_files(
        registry, issuer, issuer.file(2), issuer.file(2, customer="Evil"), issuer.file(2)
    )
    assert codes(decided) == ["other_bytes"] * 3
    assert "another of these files contains" in decided.refused[0].message
    assert content(registry)["licenses"] == before["licenses"]


def test_data_of_the_registry_is_kept(registry: Registry, issuer: Issuer) -> None:
    """A known customer keeps the name, a machine its label, also by alias or past fingerprint."""
    with writing(registry) as db:
        acme = customers.add(db, slug="acme", name="Acme Holding")
        db.insert("aliases", slug="acme-old", customer_id=acme.id, created_at=db.at)
        machine = machines.add(
            db,
            acme,
            label="prod",
            fingerprint=FP["a"],
            hostname="h",
            components={},
            document_id=None,
        )
        machines.change_identity(
            db, machine, fingerprint=FP["b"], hostname="h", components={}, document_id=None
        )
    decided = import_files(
        registry,
        issuer,
        issuer.file(1, sub="acme-old", customer="Old", fingerprint=FP["a"]),
        issuer.file(2, fingerprint=FP["b"]),
        issuer.file(3, fingerprint=FP["c"]),
    )
    assert decided.customers == {}
    assert decided.machines == (("acme", FP["c"]),)
    held = content(registry)
    assert held["customers"] == {
        "acme": ("Acme Holding", [("machine", FP["c"]), ("prod", FP["b"])])
    }
    assert {one[2] for one in held["licenses"]} == {"prod", "machine"}
    assert {one[1] for one in held["licenses"]} == {"acme"}


def test_an_imported_older_license_is_marked_as_replaced(
    registry: Registry, issuer: Issuer
) -> None:
    """The newer license in the registry names it in its file."""
    import_files(registry, issuer, issuer.file(2, replaces=(1,)))
    decided = import_files(registry, issuer, issuer.file(1))
    assert decided.replaced == {license_id(1): license_id(2)}
    assert decided.missing == ()


def test_a_retired_license_stays_retired(registry: Registry, issuer: Issuer) -> None:
    """No file undoes a retirement."""
    import_files(registry, issuer, issuer.file(1))
    with writing(registry) as db:
        licenses.retire(db, license_id(1), "over")
    decided = import_files(registry, issuer, issuer.file(2, replaces=(1,)))
    assert (decided.replaced, decided.missing) == ({}, ())


@pytest.mark.sqlite("edits rows of the file")
def test_a_tampered_registry_is_refused(registry: Registry, issuer: Issuer, tmp_path: Path) -> None:
    """The stored files of a customer are verified before they are used."""
    import_files(registry, issuer, issuer.file(1))
    with tampering(tmp_path / "registry.db") as raw:
        raw.execute("UPDATE licenses SET file = x'61'")
    with registry.reading() as db, pytest.raises(RegistryDamaged):
        decide(db, sources(issuer.file(2)), ())


def test_the_plan_has_the_issuer_of_the_newest_license(registry: Registry, issuer: Issuer) -> None:
    """A new home continues under that name."""
    files = sources(issuer.file(2, iss="New Ltd"), issuer.file(1, iss="Old Ltd"))
    with registry.reading() as db:
        assert decide(db, files, (issuer.signer.public_key,)).issuer == "New Ltd"
        assert decide(db, (), ()).issuer == "polygent-operator"
