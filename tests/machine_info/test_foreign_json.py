"""JSON of any depth and any numbers, and nothing that is not JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.machine_info.foreign_json import NotJson, loads

SCALARS = st.none() | st.booleans() | st.text(st.characters(exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(VALUES, st.sampled_from([None, 2]))
def test_reads_what_the_standard_library_writes(value: object, indent: int | None) -> None:
    """Every value without numbers comes back as it was, escaped or not."""
    assert loads(json.dumps(value, indent=indent)) == value
    assert loads(json.dumps(value, indent=indent, ensure_ascii=False)) == value


@given(
    st.lists(st.sampled_from([*'{}[]",:.-+eE01tfn \n\\u', "null", "true", '"a"', '"a":'])).map(
        "".join
    )
)
def test_agrees_with_the_standard_library(text: str) -> None:
    """What one of the two parsers refuses, the other refuses too."""

    def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        json.loads(text, object_pairs_hook=no_repeats)
    except ValueError:
        with pytest.raises(NotJson):
            loads(text)
    else:
        loads(text)


@pytest.mark.parametrize(
    "number", ["0", "-0", "10", "1.5", "1e3", "1E+3", "-1.25e-300", "1e999999", "9" * 60_000]
)
def test_numbers_are_free(number: str) -> None:
    """Any number of RFC 8259, of any length, is read, and is 0."""
    assert loads(number) == 0
    assert loads(f'[{number},{{"a":{number}}}]') == [0, {"a": 0}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "0x1",
        "NaN",
        "Infinity",
        "-Infinity",
        "tru",
        "nul",
        "True",
        "'a'",
        '"a',
        '"a\nb"',
        '"\x00"',
        '"\\x"',
        '"\\u12"',
        '"\\u12g4"',
        "[",
        "{",
        "[1",
        "[1,",
        "[,",
        "[1,]",
        "[1 2]",
        '{"a"',
        '{"a":',
        '{"a":1',
        '{"a":1,',
        '{"a":1,}',
        "{1:2}",
        "{a:1}",
        '{"a" 1}',
        '{"a":}',
        "{,}",
        "[}",
        "{]",
        "[1}",
        '{"a":1]',
        "1 2",
        "[] []",
        "]",
        "}",
        ",",
        ":",
        "// x\n1",
        "\ufeff1",
        "\u00a01",
        "\x0c1",
        "\uff11",
    ],
)
def test_what_is_not_json(text: str) -> None:
    """RFC 8259 to the letter: no comments, no trailing commas, no other white space."""
    with pytest.raises(NotJson):
        loads(text)


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"x":[{"a":1,"b":2,"a":3}]}', '{"":1,"":2}'],
)
def test_repeated_names(text: str) -> None:
    """A name twice in one object, however written and wherever, is refused."""
    with pytest.raises(NotJson, match="is repeated"):
        loads(text)


def test_a_name_again_in_another_object() -> None:
    """The same name in siblings or children is no repetition."""
    assert loads('[{"a":{"a":null}},{"a":true}]') == [{"a": {"a": None}}, {"a": True}]


@pytest.mark.parametrize("string", ['"\\ud800"', '"\\udc00x"', '"\\ude00\\ud83d"'])
def test_lone_surrogates(string: str) -> None:
    """Half a character is none, in a value or in a name, at any depth."""
    for text in (string, f"{{{string}:1}}", f'{{"a":[{string}]}}'):
        with pytest.raises(NotJson, match="lone surrogate"):
            loads(text)


def test_surrogate_pairs() -> None:
    """Both halves are one character."""
    assert loads('"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_depth_is_free(opening: str, closing: str) -> None:
    """30,000 levels are read; unfinished ones are refused; neither exhausts the stack."""
    value = loads(opening * 30_000 + "null" + closing * 30_000)
    levels = 0
    while isinstance(value, (dict, list)):
        value = value["a"] if isinstance(value, dict) else value[0]
        levels += 1
    assert value is None
    assert levels == 30_000 * len(closing)
    with pytest.raises(NotJson):
        loads(opening * 30_000)


def test_place_of_a_fault() -> None:
    """The message says the line and the column, from 1."""
    with pytest.raises(NotJson, match="a colon is expected at line 3, column 7"):
        loads('{\n  "a": 1,\n  "b" 2\n}')


def test_message_is_short_and_printable() -> None:
    """A hostile name is escaped and cut."""
    name = "\\u001b]0;" + "x" * 1000
    with pytest.raises(NotJson) as caught:
        loads(f'{{"{name}":1,"{name}":2}}')
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
