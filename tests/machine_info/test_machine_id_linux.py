"""Linux: files below a root that the test lays out as real systems have them."""

from pathlib import Path

import pytest

from polygent_issuer.machine_info.machine_id import MachineId, NoMachineId, read_linux
from polygent_issuer.machine_info.this_machine import image_id_warning

ID = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
UUID = "4C4C4544-0042-3510-8052-B4C04F4D4D32"


# As Docker, Podman, systemd, Kubernetes, lxc-start and control groups v1 leave them.
MARKS = (
    (".dockerenv", ""),
    ("run/.containerenv", 'engine="podman-4.3.1"\n'),
    ("run/systemd/container", "systemd-nspawn\n"),
    ("run/secrets/kubernetes.io/serviceaccount/namespace", "default"),
    ("proc/1/environ", "PATH=/bin\0container=lxc\0"),
    ("proc/1/cgroup", "11:cpu:/docker/1f3a9c2e\n"),
)
MOUNTS = (
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "27 1 0:40 / / rw,relatime - overlay overlay rw,lowerdir=/l\n"
)


def lay(root: Path, name: str, content: str) -> None:
    """Write one file of the system."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def refused(root: Path) -> NoMachineId:
    """Read a system without a valid id; returns the error."""
    with pytest.raises(NoMachineId) as caught:
        read_linux(root)
    assert caught.value.code == "no_machine_id"
    assert caught.value.hint
    return caught.value


def test_machine_id(tmp_path: Path) -> None:
    """The file of systemd, as machine-id(5) describes it."""
    lay(tmp_path, "etc/machine-id", f"{ID}\n")
    lay(tmp_path, "var/lib/dbus/machine-id", f"{OTHER}\n")
    assert read_linux(tmp_path) == MachineId(machine=ID)


@pytest.mark.parametrize("first", [None, "", "\n", "uninitialized\n"])
def test_dbus_knows_it_too(tmp_path: Path, first: str | None) -> None:
    """Where the first file says nothing yet, D-Bus's older one is asked."""
    if first is not None:
        lay(tmp_path, "etc/machine-id", first)
    lay(tmp_path, "var/lib/dbus/machine-id", ID)
    assert read_linux(tmp_path) == MachineId(machine=ID)


@pytest.mark.parametrize("said", ["", "\n", "uninitialized\n"])
def test_no_id_yet(tmp_path: Path, said: str) -> None:
    """An image before its first boot has none: refused, with the command that makes one."""
    lay(tmp_path, "etc/machine-id", said)
    error = refused(tmp_path)
    assert "missing, empty or unreadable" in error.message
    assert "systemd-machine-id-setup" in str(error.hint)


@pytest.mark.parametrize(
    "said", ["0" * 32, ID[:-1], f"{ID}{ID}", "\xff" * 32, f"{ID}\nx", "x" * 9999]
)
def test_malformed_id_is_refused(tmp_path: Path, said: str) -> None:
    """Behind a damaged id there is no second opinion: D-Bus is not asked then."""
    lay(tmp_path, "etc/machine-id", said)
    lay(tmp_path, "var/lib/dbus/machine-id", ID)
    error = refused(tmp_path)
    assert error.message == "/etc/machine-id does not contain a valid machine id"
    assert said not in error.message


@pytest.mark.parametrize(("mark", "content"), MARKS)
def test_container_without_an_id(tmp_path: Path, mark: str, content: str) -> None:
    """Docker, Podman, systemd-nspawn: the error says so, and how to pass the host's id."""
    lay(tmp_path, mark, content)
    error = refused(tmp_path)
    assert "container" in str(error.hint)
    assert "-v /etc/machine-id:/etc/machine-id:ro" in str(error.hint)


def test_container_with_an_id(tmp_path: Path) -> None:
    """Given an id, a container is a machine like any other."""
    lay(tmp_path, ".dockerenv", "")
    lay(tmp_path, "etc/machine-id", ID)
    assert read_linux(tmp_path) == MachineId(machine=ID)


@pytest.mark.parametrize(("mark", "content"), MARKS)
@pytest.mark.parametrize("file", ["etc/machine-id", "var/lib/dbus/machine-id"])
def test_an_id_of_the_image_is_warned_of(
    tmp_path: Path, mark: str, content: str, file: str
) -> None:
    """In a container whose id is not mounted: which file it is, and how to pass the host's id."""
    lay(tmp_path, file, ID)
    lay(tmp_path, "proc/self/mountinfo", MOUNTS)
    assert image_id_warning(system="Linux", root=tmp_path) is None, "no container"
    lay(tmp_path, mark, content)
    warning = str(image_id_warning(system="Linux", root=tmp_path))
    assert f"/{file} is not mounted" in warning
    assert "-v /etc/machine-id:/etc/machine-id:ro" in warning
    assert image_id_warning(system="Darwin", root=tmp_path) is None


@pytest.mark.parametrize("mount", ["/etc/machine-id", "/etc"])
def test_a_mounted_id_is_not_of_the_image(tmp_path: Path, mount: str) -> None:
    """The file itself or its folder; a mount below or elsewhere does not count."""
    lay(tmp_path, ".dockerenv", "")
    lay(tmp_path, "proc/self/mountinfo", f"{MOUNTS}31 27 8:1 /x /etc/hosts rw - ext4 /dev/sda rw\n")
    assert image_id_warning(system="Linux", root=tmp_path) is None, "there is no id"
    lay(tmp_path, "etc/machine-id", ID)
    assert image_id_warning(system="Linux", root=tmp_path) is not None
    lay(tmp_path, "proc/self/mountinfo", f"{MOUNTS}31 27 8:1 /x {mount} rw - ext4 /dev/sda rw\n")
    assert image_id_warning(system="Linux", root=tmp_path) is None


def test_board(tmp_path: Path) -> None:
    """The firmware's UUID, or the board's serial number where that says nothing."""
    lay(tmp_path, "etc/machine-id", ID)
    lay(tmp_path, "sys/class/dmi/id/board_serial", "/7B2/CN12/\n")
    lay(tmp_path, "sys/class/dmi/id/product_uuid", f"{UUID}\n")
    assert read_linux(tmp_path).board == UUID.lower()
    lay(tmp_path, "sys/class/dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000\n")
    assert read_linux(tmp_path).board == "/7b2/cn12/"


def test_unreadable_files(tmp_path: Path) -> None:
    """A folder where a file should be reads as nothing, without a foreign exception."""
    (tmp_path / "etc/machine-id").mkdir(parents=True)
    (tmp_path / "sys/class/dmi/id/product_uuid").mkdir(parents=True)
    refused(tmp_path)
    lay(tmp_path, "var/lib/dbus/machine-id", ID)
    assert read_linux(tmp_path) == MachineId(machine=ID)
