"""Every row of the table in FORMAT §4."""

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.errors import InvalidMachineInfo
from polygent_issuer.machine_info import document as document_module
from polygent_issuer.machine_info.document import LIMIT, MachineInfo, parse
from polygent_issuer.text import escape
from polygent_issuer.verifier.tables import FORBIDDEN

FINGERPRINT = "sha256:" + "0f" * 32
LEAST = {"fingerprint": FINGERPRINT, "generatedAt": "2026-11-23T09:30:00Z"}
ABSENT: Any = object()


def document(**changes: object) -> bytes:
    """Return a document with some fields changed or removed."""
    fields = {**LEAST, **changes}
    return json.dumps(
        {name: value for name, value in fields.items() if value is not ABSENT}
    ).encode()


def refused(data: bytes) -> InvalidMachineInfo:
    """Parse an invalid document; return the error, whose message must be safe to display."""
    with pytest.raises(InvalidMachineInfo) as caught:
        parse(data)
    error = caught.value
    assert error.code == "invalid_machine_info"
    assert escape(error.message) == error.message
    assert error.hint
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    return error


def test_a_full_document() -> None:
    """Each field is returned in its canonical form and in UTC."""
    info = parse(
        document(
            format="polygent-machine-info/1",
            hostname="prod-1",
            os="Windows Server 2022",
            productVersion="4.2.0",
            customer="Acme",
            components={"machineId": "sha256:aa", "board": "sha256:bb"},
        )
    )
    assert info == MachineInfo(
        fingerprint=FINGERPRINT,
        generated_at=datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
        format="polygent-machine-info/1",
        hostname="prod-1",
        os="Windows Server 2022",
        product_version="4.2.0",
        customer="Acme",
        components={"board": "sha256:bb", "machineId": "sha256:aa"},
    )
    assert info.generated_at == datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert list(info.components) == ["board", "machineId"]


def test_the_smallest_document() -> None:
    """Fingerprint and time are sufficient; the other fields are absent."""
    info = parse(document())
    assert (info.format, info.hostname, info.os) == (None, None, None)
    assert (info.product_version, info.customer, info.components) == (None, None, {})
    assert info.extra == ()


def test_a_parsed_document_cannot_be_changed() -> None:
    """A parsed document is immutable."""
    info = parse(document(components={"board": "x"}))
    with pytest.raises(FrozenInstanceError):
        info.fingerprint = "other"  # type: ignore[misc] # that is the point
    with pytest.raises(TypeError):
        info.components["board"] = "y"  # type: ignore[index] # that is the point


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_encodings_of_windows_editors_are_read(encoding: str) -> None:
    """UTF-8 and UTF-16 files of a Windows editor are read."""
    text = document(customer="Größe 日本").decode()
    text = json.dumps(json.loads(text), ensure_ascii=False)
    assert parse(text.encode(encoding)).customer == "Größe 日本"


@pytest.mark.parametrize(
    "name",
    [
        *("fingerprint", "machineFingerprint", "machine_fingerprint"),
        *("Fingerprint", "MachineFingerprint"),
    ],
)
def test_spellings_of_fingerprint(name: str) -> None:
    """Each spelling of `fingerprint` is read."""
    assert parse(document(**{"fingerprint": ABSENT, name: FINGERPRINT})).fingerprint == FINGERPRINT


@pytest.mark.parametrize(
    "name",
    [
        *("generatedAt", "generated_at", "timestamp", "createdAt"),
        *("GeneratedAt", "Timestamp", "CreatedAt"),
    ],
)
def test_spellings_of_generated_at(name: str) -> None:
    """Each spelling of `generatedAt` is read."""
    data = document(**{"generatedAt": ABSENT, name: "2026-11-23T09:30:00Z"})
    assert parse(data).generated_at == datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", ["machineName", "Hostname", "HostName", "MachineName"])
def test_spellings_of_hostname(name: str) -> None:
    """`machineName` and `MachineName` of .NET are read."""
    assert parse(document(**{name: "prod-1"})).hostname == "prod-1"


@pytest.mark.parametrize("system", ["Os", "OS"])
def test_a_document_in_pascal_case(system: str) -> None:
    """Each field in the spelling of .NET properties is read, and none is ignored."""
    fields = {
        "Fingerprint": FINGERPRINT,
        "GeneratedAt": "2026-11-23T09:30:00Z",
        "Format": "polygent-machine-info/1",
        "HostName": "prod-1",
        system: "Windows Server 2022",
        "ProductVersion": "4.2.0",
        "Customer": "Acme",
        "Components": {"board": "sha256:bb"},
    }
    info = parse(json.dumps(fields).encode())
    assert (info.fingerprint, info.generated_at.isoformat()) == (
        *(FINGERPRINT, "2026-11-23T09:30:00+00:00"),
    )
    assert (info.format, info.hostname) == ("polygent-machine-info/1", "prod-1")
    assert (info.os, info.product_version, info.customer) == (
        *("Windows Server 2022", "4.2.0", "Acme"),
    )
    assert (dict(info.components), info.extra) == ({"board": "sha256:bb"}, ())


def test_the_spellings_are_those_of_the_format() -> None:
    """FORMAT §4 lists each accepted name."""
    text = (resources.files("polygent_issuer.verifier") / "FORMAT.md").read_text("utf-8")
    section = text.partition("## 4.")[2].partition("## 5.")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    listed = re.findall("`([A-Za-z_]+)`", " ".join(f"{name} {also}" for name, also in rows))
    assert sorted(listed) == sorted(document_module._LISTED)


@pytest.mark.parametrize(
    ("given_", "canonical"),
    [
        (" \t\r\n" + FINGERPRINT.upper() + "\n", FINGERPRINT),
        ("SHA256:ABCDEF", "sha256:abcdef"),
        ("ABCDEF01", "abcdef01"),
        ("ABCDEFGH", "ABCDEFGH"),
        ("md5:ABCDEF", "md5:ABCDEF"),
        ("x" * 256, "x" * 256),
        ("~!opaque!~", "~!opaque!~"),
    ],
)
def test_a_fingerprint_is_canonical(given_: str, canonical: str) -> None:
    """A fingerprint is trimmed; a hexadecimal one is returned in lower case."""
    assert parse(document(fingerprint=given_)).fingerprint == canonical


@pytest.mark.parametrize(
    "wrong",
    ["x" * 7, "x" * 257, "", " " * 20, "with space", "ü" * 9, "\u00a0" + "x" * 9, "a\x00" * 9],
)
def test_a_fingerprint_without_a_canonical_form_is_refused(wrong: str) -> None:
    """The error does not repeat a fingerprint that is too short, too long or not visible ASCII."""
    error = refused(document(fingerprint=wrong))
    assert "fingerprint must be 8 to 256 characters of visible ASCII" in error.message


@pytest.mark.parametrize("field", ["fingerprint", "generatedAt"])
@pytest.mark.parametrize("wrong", [ABSENT, None, 1, True, [], {}, ["x" * 9]])
def test_required_fields_are_strings(field: str, wrong: object) -> None:
    """Both fields are required strings; null is refused."""
    error = refused(document(**{field: wrong}))
    assert field in error.message
    assert ("is missing" if wrong is ABSENT else "must be a string") in error.message


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T09:30:00Z", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("2026-11-23T09:30:00+05:45", datetime(2026, 11, 23, 3, 45, tzinfo=UTC)),
        ("2026-11-23T09:30:00-00:00", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("2026-11-23T09:30:00.1Z", datetime(2026, 11, 23, 9, 30, 0, 100_000, tzinfo=UTC)),
        ("2026-11-23T09:30:00.1234569Z", datetime(2026, 11, 23, 9, 30, 0, 123_456, tzinfo=UTC)),
        ("2028-02-29T23:59:59.9999999Z", datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_generated_at(text: str, moment: datetime) -> None:
    """Times follow the grammar of FORMAT §4; the seventh digit of .NET is dropped."""
    assert parse(document(generatedAt=text)).generated_at == moment


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "2026-11-23",
        "2026-11-23T09:30:00",
        "2026-11-23t09:30:00Z",
        "2026-11-23T09:30:00z",
        "2026-11-23 09:30:00Z",
        "2026-11-23T09:30Z",
        "2026-11-23T09:30:00.Z",
        " 2026-11-23T09:30:00Z",
        "2026-11-23T09:30:00.12345678Z",
        "2026-11-23T09:30:00,5Z",
        "2026-11-23T09:30:00Z\n",
        "2026-11-23T23:59:60Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T09:60:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-11-23T09:30:00+0545",
        "2026-11-23T09:30:00+24:00",
        "2026-11-23T09:30:00+05:60",
        "\u0662\u0660\u0662\u0666-11-23T09:30:00Z",
        "+002026-11-23T09:30:00Z",
        "1764000000",
    ],
)
def test_an_invalid_time_is_refused(wrong: str) -> None:
    """Another grammar, or a time that does not exist in UTC, is refused."""
    assert "generatedAt" in refused(document(generatedAt=wrong)).message


def test_the_format_name() -> None:
    """Only this format name, or none, is accepted."""
    assert parse(document(format=None)).format is None
    for wrong in ("polygent-machine-info/2", "", "POLYGENT-machine-info/1", 1, True, ["x"]):
        error = refused(document(format=wrong))
        assert "format must be polygent-machine-info/1" in error.message


OPTIONAL = ["hostname", "machineName", "os", "productVersion", "customer"]


@pytest.mark.parametrize("name", [*OPTIONAL, "format", "components"])
def test_null_counts_as_absent(name: str) -> None:
    """Null in an optional field, as .NET writes it, counts as absent."""
    assert parse(document(**{name: None})) == parse(document())


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("wrong", [1, 1.5, True, [], {}, ["x"]])
def test_optional_fields_are_strings(name: str, wrong: object) -> None:
    """Anything but a string or null is refused."""
    assert "must be a string" in refused(document(**{name: wrong})).message


@pytest.mark.parametrize("name", OPTIONAL)
def test_text_for_people_is_trimmed_and_composed(name: str) -> None:
    """Text is trimmed and in NFC; empty text counts as absent."""
    info = parse(document(**{name: " Mu\u0308ller\r\n"}))
    assert "M\u00fcller" in (info.hostname, info.os, info.product_version, info.customer)
    assert parse(document(**{name: " \t"})) == parse(document())


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize(
    "wrong", ["\x1b[31mred", "a\nb", "a\u202eb", "zero\u200bwidth", "a\x00", "x" * 201, "\u00a0x"]
)
def test_text_that_could_mislead_is_refused(name: str, wrong: str) -> None:
    """Control, bidi and hidden characters and overlong text are refused without quoting them."""
    error = refused(document(**{name: wrong}))
    assert wrong not in error.message
    assert "U+" in error.message or "200 characters" in error.message


def test_every_forbidden_character_is_refused() -> None:
    """Both ends of each range in the list of FORMAT §1 are refused."""
    for first, last in FORBIDDEN:
        for point in (first, last):
            refused(document(customer=f"a{chr(point)}b"))


@pytest.mark.parametrize("name", ["[/red]", "../Acme", "CON", "日本" * 100])
def test_unusual_names_are_accepted(name: str) -> None:
    """Markup, paths, device names and 200 Chinese characters are valid names."""
    assert parse(document(customer=name)).customer == name


@pytest.mark.parametrize(
    "wrong",
    [[], "x", 1, True, {"a": 1}, {"a": None}, {"a": []}, {"a": {}}, {"a": "\x1b"}, {"\x1b": "a"}],
)
def test_components_are_strings_by_name(wrong: object) -> None:
    """Components are an object of displayable strings."""
    assert "components" in refused(document(components=wrong)).message


def test_empty_components_are_dropped() -> None:
    """An empty value counts as absent."""
    assert parse(document(components={"board": "", "machineId": "x"})).components == {
        "machineId": "x"
    }
    assert parse(document(components={})).components == {}


def test_components_with_equal_names_are_refused() -> None:
    """Names that differ only in dropped characters are refused, since one would hide the other."""
    assert "white space" in refused(document(components={"a": "x", "a ": "y"})).message
    assert "white space" in refused(document(components={"\u00e9": "x", "e\u0301": "y"})).message


@pytest.mark.parametrize(
    "pair",
    [
        {"fingerprint": FINGERPRINT, "machineFingerprint": FINGERPRINT.upper() + "\n"},
        {"generatedAt": "2026-11-23T09:30:00Z", "timestamp": "2026-11-23T10:30:00+01:00"},
        {"generatedAt": "2026-11-23T09:30:00.1234567Z", "createdAt": "2026-11-23T09:30:00.123456Z"},
        {"hostname": "prod-1", "machineName": "prod-1 "},
        {"hostname": None, "machineName": "prod-1"},
        {"customer": "Acme", "Customer": "Acme "},
        {"os": "Linux", "OS": "Linux", "Os": None},
        {"format": "polygent-machine-info/1", "Format": "polygent-machine-info/1"},
        {"components": {"a": "x"}, "Components": {"a ": "x", "b": ""}},
    ],
)
def test_equal_values_in_several_spellings_are_accepted(pair: dict[str, object]) -> None:
    """Values are compared in canonical form."""
    expected = parse(document(hostname="prod-1" if "hostname" in pair else ABSENT)).hostname
    assert parse(document(**pair)).hostname == expected


@pytest.mark.parametrize(
    "pair",
    [
        {"fingerprint": FINGERPRINT, "machineFingerprint": FINGERPRINT + "0"},
        {"fingerprint": FINGERPRINT, "machine_fingerprint": "x"},
        {"fingerprint": "ABCDEFGH", "machine_fingerprint": "abcdefgh"},
        {"machineFingerprint": "x" * 9, "fingerprint": ABSENT, "machine_fingerprint": "y" * 9},
        {"generatedAt": "2026-11-23T09:30:00Z", "timestamp": "2026-11-23T09:30:01Z"},
        {"generatedAt": "2026-11-23T09:30:00Z", "generated_at": "soon"},
        {"hostname": "prod-1", "machineName": "prod-2"},
        {"hostname": "prod-1", "machineName": ""},
        {"customer": "Acme", "Customer": "Globex"},
        {"os": "Linux", "OS": "Windows"},
        {"productVersion": "4", "ProductVersion": "4.1"},
        {"format": "polygent-machine-info/1", "Format": "polygent-machine-info/2"},
        {"components": {"a": "x"}, "Components": {"a": "y"}},
        {"components": {"a": "x"}, "Components": {"a": "x", "a ": "x"}},
    ],
)
def test_different_values_in_two_spellings_are_refused(pair: dict[str, object]) -> None:
    """The error names both spellings."""
    error = refused(document(**pair))
    assert "is contradictory" in error.message
    assert all(name in error.message for name, value in pair.items() if value is not ABSENT)


def test_a_spelling_with_another_type_is_refused() -> None:
    """A null or a number in addition to a valid fingerprint is refused."""
    assert "must be a string" in refused(document(machineFingerprint=None)).message
    assert "must be a string" in refused(document(timestamp=1764000000)).message
    assert "must be a string" in refused(document(customer="Acme", Customer={"a": "x"})).message
    assert "an object of strings" in refused(document(components={}, Components="x")).message
    assert "must be a string" in refused(document(components={}, Components={"a": 1})).message


def test_ignored_names_are_listed() -> None:
    """Ignored names may have any value, and are listed."""
    info = parse(document(zeta=1.5, alpha={"a": [None, 10**400]}, machineID="x"))
    assert info.extra == ("alpha", "machineID", "zeta")
    assert info.fingerprint == FINGERPRINT


def nested(name: str, levels: int, *, closed: bool = True) -> bytes:
    """Return a document with nested lists that have two members at each level."""
    deep = '["]\\"",' * levels + "0" + "]" * levels * closed
    return (document().decode()[:-1] + f', "{name}": {deep}}}').encode()


def test_at_most_64_levels_are_read() -> None:
    """64 levels including the document are read; one more is refused anywhere."""
    assert parse(nested("ignored", 63)).extra == ("ignored",)
    assert "must be a string" in refused(nested("hostname", 63)).message
    for name in ("ignored", "components", "hostname", "machineFingerprint"):
        assert refused(nested(name, 64)).message == (
            "the machine-info document is not JSON: it is nested deeper than 64 levels"
        )


def test_very_deep_nesting_is_refused() -> None:
    """An unfinished document with very many levels is refused without recursion."""
    assert "64 levels" in refused(b"[" * 60_000).message
    assert "64 levels" in refused(b'{"a":' * 12_000).message
    assert "64 levels" in refused(nested("x", 8_000, closed=False)).message
    assert "not JSON: see line 1" in refused(b'{"a": "' + b"[" * 60_000).message


def test_brackets_in_strings_are_not_levels() -> None:
    """Only brackets of arrays and objects are counted."""
    assert parse(document(ignored="[{" * 20_000)).extra == ("ignored",)


@pytest.mark.parametrize(
    "text",
    [
        *("01", "-", "1.", ".5", "1e", "+1", "0x1", "tru", "True", "'a'", '"a', '"a\nb"'),
        *('"\\x"', '"\\u12"', "[", "[1", "[1,]", "[1 2]", '{"a"}', '{"a":1,}', "{1:2}", "{,}"),
        *("[}", "1 2", "// x\n1", "\u00a01", "\uff11", "1\uff11", "NaN", "Infinity", "-Infinity"),
    ],
)
def test_invalid_json_is_refused(text: str) -> None:
    """RFC 8259 is applied strictly, also to ignored values."""
    data = f'{document().decode()[:-1]}, "ignored": {text}}}'.encode()
    assert refused(data).message.startswith("the machine-info document is not JSON: ")


def test_the_place_of_a_syntax_error_is_named() -> None:
    """The message has the line and the column, counted from 1."""
    message = refused(b'{\n  "a": 1,\n  "b" 2\n}').message
    assert message == "the machine-info document is not JSON: see line 3, column 7"


def test_a_hostile_repeated_name_is_escaped() -> None:
    """The repeated name is escaped and shortened in the message."""
    name = "\\u001b]0;" + "x" * 1000
    message = refused(f'{{"{name}":1,"{name}":2}}'.encode()).message
    assert message.isprintable()
    assert len(message) < 200


def test_a_surrogate_pair_is_one_character() -> None:
    """An escaped surrogate pair is read as one character."""
    body = document().decode()[:-1]
    assert parse(f'{body}, "customer": "\\ud83d\\ude00"}}'.encode()).customer == "\U0001f600"


def test_huge_numbers_are_ignored() -> None:
    """60,000 digits are accepted in an ignored name; in a field they are not a string."""
    digits = "9" * 60_000
    body = document().decode()[:-1]
    assert parse(f'{body}, "ignored": {digits}}}'.encode()).extra == ("ignored",)
    assert "must be a string" in refused(f'{body}, "os": {digits}}}'.encode()).message


def test_a_repeated_name_is_refused() -> None:
    """A repeated name is refused, also in ignored values."""
    body = document().decode()[:-1]
    assert "repeated" in refused(f'{body}, "fingerprint": "{FINGERPRINT}"}}'.encode()).message
    assert "repeated" in refused(f'{body}, "x": {{"a": 1, "\\u0061": 1}}}}'.encode()).message


def test_a_lone_surrogate_is_refused() -> None:
    """A lone surrogate is refused, also in ignored values."""
    body = document().decode()[:-1]
    assert "surrogate" in refused(f'{body}, "ignored": "\\ud800"}}'.encode()).message
    assert (
        "surrogate" in refused(f'{body}, "ignored": [{{"\\ude00\\ud83d": 1}}]}}'.encode()).message
    )


def test_a_document_over_64_kib_is_refused() -> None:
    """64 KiB are accepted; one byte more is refused."""
    data = document()
    assert parse(data + b" " * (LIMIT - len(data))).fingerprint == FINGERPRINT
    assert "larger" in refused(data + b" " * (LIMIT - len(data) + 1)).message


@pytest.mark.parametrize("data", [b"[]", b'"x"', b"null", b"1"])
def test_a_document_must_be_an_object(data: bytes) -> None:
    """Other JSON values are refused."""
    assert refused(data).message == "the machine-info document is not a JSON object"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"eyJhbGciOiJFUzI1NiJ9.eyJ2ZXIiOjF9.c2lnbmF0dXJl\n", "polygent-issue inspect"),
        (codecs.BOM_UTF8 + b"eyJhbGci.eyJ2ZXIi.c2ln", "polygent-issue inspect"),
        (b"\n<!DOCTYPE html><html><body>Log in", "HTML page"),
        (codecs.BOM_UTF16_LE + "<html>".encode("utf-16-le"), "HTML page"),
        (b"<html>" + b"x" * LIMIT, "HTML page"),
        (b"<p>Gr\xf6\xdfe", "HTML page"),
        (b"Return-Path: <a@b.c>\r\nReceived: from x\r\n\r\nhello", "mail"),
        (b"From a@b.c Mon Nov 23\nSubject: machine info\n", "mail"),
        (b"-----BEGIN PUBLIC KEY-----\nMFk", "key"),
        (b"PK\x03\x04\x14\x00\xff", "archive"),
        (b"\x1f\x8b\x08\x00", "archive"),
        (b"hello", "machine info"),
        (b"{'fingerprint': 1}", "machine info"),
        (b"\xff", "Download machine info"),
    ],
)
def test_a_wrong_file_is_recognised(data: bytes, hint: str) -> None:
    """A license, an HTML page, a mail, a key and an archive each have their own hint."""
    assert hint in str(refused(data).hint)


def test_all_problems_are_reported_together() -> None:
    """The message lists five problems and the number of the others."""
    error = refused(document(fingerprint="x", generatedAt="y", os=1))
    assert error.message.count(";") == 2
    names = {f"part{number}": number for number in range(20)}
    assert refused(document(components=names)).message.endswith("15 more")


def test_a_hostile_component_name_is_escaped() -> None:
    """The name of an invalid component is escaped and shortened in the message."""
    error = refused(document(components={"\x1b]0;" + "x" * 5000: 1}))
    assert len(error.message) < 250


def test_no_value_is_repeated() -> None:
    """No message, chain or repr repeats a value, which could be a secret."""
    error = refused(document(fingerprint="SECRET ü", os=["SECRET"], customer="SECRET\x00"))
    assert "SECRET" not in f"{error!r} {error.message} {error.hint} {error.__context__!r}"


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = ["fingerprint", "machineFingerprint", "generatedAt", "timestamp", "format", "components"]
DOCUMENTS: st.SearchStrategy[Mapping[str, Any]] = st.dictionaries(
    st.sampled_from([*NAMES, *OPTIONAL]) | st.text(),
    JSON_VALUES | st.sampled_from([FINGERPRINT, "2026-11-23T09:30:00Z"]),
)


@given(
    DOCUMENTS,
    st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-8-sig"]),
    st.sampled_from([{}, LEAST]),
)
def test_any_json_is_a_document_or_our_error(
    fields: Mapping[str, Any], encoding: str, more: Mapping[str, str]
) -> None:
    """Any JSON in any encoding is a document or raises our error."""
    data = json.dumps({**fields, **more}).encode(encoding)
    try:
        info = parse(data)
    except InvalidMachineInfo:
        info = None
    if info is None:
        refused(data)
    else:
        assert info.generated_at.tzinfo is UTC


@given(st.binary(max_size=500))
def test_any_bytes_raise_only_our_error(data: bytes) -> None:
    """Random bytes raise no foreign exception, and are not accepted as a document."""
    refused(data)
