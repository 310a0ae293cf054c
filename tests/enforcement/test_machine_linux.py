"""Machine ids on Linux, with files in a root folder that the test creates."""

from pathlib import Path

import pytest

from polygent_issuer.enforcement.machine import (
    MachineId,
    NoMachineInfo,
    image_id_warning,
    read_linux,
)

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


def write_file(root: Path, name: str, content: str) -> None:
    """Write one file of the system."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def refused(root: Path) -> NoMachineInfo:
    """Read a system without a valid id; return the error."""
    with pytest.raises(NoMachineInfo) as caught:
        read_linux(root)
    assert caught.value.code == "no_machine_id"
    assert caught.value.hint
    return caught.value


def test_the_machine_id_of_systemd_is_read(tmp_path: Path) -> None:
    """The file of machine-id(5) is read."""
    write_file(tmp_path, "etc/machine-id", f"{ID}\n")
    write_file(tmp_path, "var/lib/dbus/machine-id", f"{OTHER}\n")
    assert read_linux(tmp_path) == MachineId(machine=ID)


@pytest.mark.parametrize("first", [None, "", "\n", "uninitialized\n"])
def test_the_machine_id_of_dbus_is_read(tmp_path: Path, first: str | None) -> None:
    """If the first file is empty, the older file of D-Bus is read."""
    if first is not None:
        write_file(tmp_path, "etc/machine-id", first)
    write_file(tmp_path, "var/lib/dbus/machine-id", ID)
    assert read_linux(tmp_path) == MachineId(machine=ID)


@pytest.mark.parametrize("content", ["", "\n", "uninitialized\n"])
def test_a_machine_without_an_id_is_refused(tmp_path: Path, content: str) -> None:
    """An image before its first boot has no id; the hint is the command that creates one."""
    write_file(tmp_path, "etc/machine-id", content)
    error = refused(tmp_path)
    assert "missing, empty or unreadable" in error.message
    assert "systemd-machine-id-setup" in str(error.hint)


@pytest.mark.parametrize(
    "content", ["0" * 32, ID[:-1], f"{ID}{ID}", "\xff" * 32, f"{ID}\nx", "x" * 9999]
)
def test_a_malformed_id_is_refused(tmp_path: Path, content: str) -> None:
    """If the first file has a malformed id, the file of D-Bus is not read."""
    write_file(tmp_path, "etc/machine-id", content)
    write_file(tmp_path, "var/lib/dbus/machine-id", ID)
    error = refused(tmp_path)
    assert error.message == "/etc/machine-id does not contain a valid machine id"
    assert content not in error.message


@pytest.mark.parametrize(("mark", "content"), MARKS)
def test_a_container_without_an_id_is_refused(tmp_path: Path, mark: str, content: str) -> None:
    """The hint for Docker, Podman and systemd-nspawn explains how to mount the host's id."""
    write_file(tmp_path, mark, content)
    error = refused(tmp_path)
    assert "container" in str(error.hint)
    assert "-v /etc/machine-id:/etc/machine-id:ro" in str(error.hint)


def test_a_container_with_an_id_is_accepted(tmp_path: Path) -> None:
    """A container with a mounted id is treated like any machine."""
    write_file(tmp_path, ".dockerenv", "")
    write_file(tmp_path, "etc/machine-id", ID)
    assert read_linux(tmp_path) == MachineId(machine=ID)


@pytest.mark.parametrize(("mark", "content"), MARKS)
@pytest.mark.parametrize("file", ["etc/machine-id", "var/lib/dbus/machine-id"])
def test_an_id_of_the_image_warns(tmp_path: Path, mark: str, content: str, file: str) -> None:
    """The warning names the file, and how to mount the host's id."""
    write_file(tmp_path, file, ID)
    write_file(tmp_path, "proc/self/mountinfo", MOUNTS)
    assert image_id_warning(system="Linux", root=tmp_path) is None, "no container"
    write_file(tmp_path, mark, content)
    warning = str(image_id_warning(system="Linux", root=tmp_path))
    assert f"/{file} is not mounted" in warning
    assert "-v /etc/machine-id:/etc/machine-id:ro" in warning
    assert image_id_warning(system="Darwin", root=tmp_path) is None


@pytest.mark.parametrize("mount", ["/etc/machine-id", "/etc"])
def test_a_mounted_id_is_not_of_the_image(tmp_path: Path, mount: str) -> None:
    """The file or its folder must be mounted; a mount below or elsewhere does not count."""
    write_file(tmp_path, ".dockerenv", "")
    write_file(
        tmp_path, "proc/self/mountinfo", f"{MOUNTS}31 27 8:1 /x /etc/hosts rw - ext4 /dev/sda rw\n"
    )
    assert image_id_warning(system="Linux", root=tmp_path) is None, "the id is missing"
    write_file(tmp_path, "etc/machine-id", ID)
    assert image_id_warning(system="Linux", root=tmp_path) is not None
    write_file(
        tmp_path, "proc/self/mountinfo", f"{MOUNTS}31 27 8:1 /x {mount} rw - ext4 /dev/sda rw\n"
    )
    assert image_id_warning(system="Linux", root=tmp_path) is None


def test_the_board_is_read(tmp_path: Path) -> None:
    """The board is the firmware's UUID, or the serial number if the UUID is a placeholder."""
    write_file(tmp_path, "etc/machine-id", ID)
    write_file(tmp_path, "sys/class/dmi/id/board_serial", "/7B2/CN12/\n")
    write_file(tmp_path, "sys/class/dmi/id/product_uuid", f"{UUID}\n")
    assert read_linux(tmp_path).board == UUID.lower()
    write_file(tmp_path, "sys/class/dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000\n")
    assert read_linux(tmp_path).board == "/7b2/cn12/"


def test_an_unreadable_file_is_empty(tmp_path: Path) -> None:
    """A folder instead of a file counts as empty, and raises no foreign exception."""
    (tmp_path / "etc/machine-id").mkdir(parents=True)
    (tmp_path / "sys/class/dmi/id/product_uuid").mkdir(parents=True)
    refused(tmp_path)
    write_file(tmp_path, "var/lib/dbus/machine-id", ID)
    assert read_linux(tmp_path) == MachineId(machine=ID)
