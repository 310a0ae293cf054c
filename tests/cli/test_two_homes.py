"""Two homes with one registry: each delivers the files that it issued."""

import shutil
import zipfile
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from support.cli import Desk
from support.postgres import Cluster
from support.registries import tampering
from support.team import killed_before_delivery, team

from polygent_issuer.home import folder
from polygent_issuer.registry import Registry, change


@pytest.fixture
def desks(tmp_path: Path, postgres: Cluster) -> tuple[Desk, Desk]:
    """Ada's and Ben's desk."""
    return team(tmp_path, postgres)


def sign(desk: Desk, customer: str, *, term: str = "60d") -> tuple[str, ...]:
    """Return the command for a first license."""
    fingerprint = f"sha256:{sha256(customer.encode()).hexdigest()}"
    document = desk.machine_info(customer=customer, fingerprint=fingerprint)
    return ("sign", "--machine-info", document, "--term", term, "--yes")


def licenses_in(folder: Path) -> list[str]:
    """Return the names of the license files in a folder."""
    return sorted(path.name for path in folder.glob("*.lic"))


def pending(desk: Desk) -> list[str | None]:
    """Return the home of each row of the outbox."""
    uri = desk.ok("config", "show", "registry", "--json").json["settings"]["registry"]["value"]
    with Registry.open(uri) as registry, registry.reading() as db:
        return [row.home for row in change.pending(db)]


def test_only_the_home_that_issued_a_license_delivers_it(desks: tuple[Desk, Desk]) -> None:
    """Ada's command is killed after the COMMIT; Ben's leave her file to her next one."""
    ada, ben = desks
    killed_before_delivery(ada, *sign(ada, "Acme"))
    signed = ben.ok(*sign(ben, "Bolt"))
    assert "may not have reached" not in signed.err
    assert licenses_in(ada.output) == []
    assert pending(ben) == [folder.id_of(ada.home)]
    rows = ben.run("doctor", "--json").json["rows"]
    [*_, outbox_row] = [row for row in rows if row["name"] == "outbox"]
    assert outbox_row["message"].startswith("1 license file to be delivered by the home of Ada on ")
    assert "may not have reached" in ada.ok("customer", "list").err
    ada.ok(*sign(ada, "Cog"))
    assert len(licenses_in(ada.output)) == 2
    assert pending(ben) == []


def test_no_home_delivers_what_another_user_issued(
    desks: tuple[Desk, Desk],
) -> None:
    """An issuer could give a row to another home, so that it writes a file at any place there."""
    ada, _ = desks
    killed_before_delivery(ada, *sign(ada, "Acme"))
    value = ada.ok("config", "show", "registry", "--json").json["settings"]["registry"]["value"]
    with tampering(value) as raw:
        raw.execute("UPDATE journal SET server_user = 'mallory' WHERE license IS NOT NULL")
    assert "may not have reached" in ada.ok(*sign(ada, "Bolt")).err
    assert len(licenses_in(ada.output)) == 1
    assert pending(ada) == [folder.id_of(ada.home)]
    with tampering(value) as raw:
        raw.execute("UPDATE journal SET server_user = 'postgres' WHERE license IS NOT NULL")
    ada.ok(*sign(ada, "Cog"))
    assert (len(licenses_in(ada.output)), pending(ada)) == (3, [])


def test_the_next_batch_delivers_what_its_home_issued(desks: tuple[Desk, Desk]) -> None:
    """A batch of Ben's issues nothing and leaves Ada's file; one of hers delivers it."""
    ada, ben = desks
    killed_before_delivery(ada, *sign(ada, "Acme"))
    ben.ok("renew", "--due-within", "30d")
    assert licenses_in(ada.output) == []
    ada.ok("renew", "--due-within", "30d")
    assert len(licenses_in(ada.output)) == 1


def test_any_home_exports_a_license_that_another_one_has_not_delivered(
    desks: tuple[Desk, Desk],
) -> None:
    """Then its own home has nothing to deliver any more."""
    ada, ben = desks
    killed_before_delivery(ada, *sign(ada, "Acme"))
    ben.ok("license", "export", "--customer", "acme")
    assert len(licenses_in(ben.output)) == 1
    assert pending(ben) == []
    assert ada.ok("customer", "list").err == ""


def test_a_home_from_a_backup_of_its_folder_delivers_its_files(
    desks: tuple[Desk, Desk],
) -> None:
    """The id of the home is in its folder."""
    ada, _ = desks
    killed_before_delivery(ada, *sign(ada, "Acme"))
    backup = shutil.copytree(ada.home, ada.folder / "backup")
    shutil.rmtree(ada.home)
    assert "may not have reached" not in ada.run("customer", "list").err
    backup.rename(ada.home)
    ada.ok(*sign(ada, "Cog"))
    assert len(licenses_in(ada.output)) == 2


def test_an_archive_has_the_licenses_of_its_home_alone(
    desks: tuple[Desk, Desk], tmp_path: Path
) -> None:
    """The same path on another machine is another archive."""
    archive = tmp_path / "all.zip"
    ada, ben = desks
    bundle = "--bundle", str(archive)
    ada.ok(*sign(ada, "Acme"))
    ben.ok(*sign(ben, "Bolt", term="80d"))
    ada.now = ben.now = ada.now + timedelta(days=55)
    killed_before_delivery(ada, "renew", "--due-within", "10d", *bundle)
    ben.ok("renew", "--due-within", "30d", *bundle)
    with zipfile.ZipFile(archive) as made:
        assert [name[:4] for name in made.namelist()] == ["bolt", "mani"]
    archive.unlink()
    ada.ok("renew", "--due-within", "10d", *bundle)
    with zipfile.ZipFile(archive) as made:
        assert [name[:4] for name in made.namelist()] == ["acme", "mani"]
    assert pending(ben) == []
