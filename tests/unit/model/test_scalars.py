"""Single values: durations, hosts, regular expressions, frozen maps."""

# ruff: noqa: E501  (tables of YAML read best with a case on a line)

import copy
import pickle
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_core.model.frozen import FrozenDict
from weft_core.model.mistake import format_path
from weft_core.model.regex import regex_error
from weft_core.model.scalars import format_duration, is_cidr, is_host, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("1.5s", 1.5), ("10ms", 0.01), ("1m", 60), ("2us", 2e-6), ("2µs", 2e-6), ("0s", 0), ("0", 0),
     (".5s", 0.5), ("1h1m1s1ms", 3661.001), ("100ns", 0)],
)  # fmt: skip
def test_durations_have_gos_syntax(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "1 s", "-1s", "+1s", "s", "1d", "1s2", "1,5s", "99999999999999h", "1_0s"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=1000)))
def test_durations_are_written_as_they_are_read(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    "pattern",
    ["", ".*", r"^/v\d+/.*$", "[[:alpha:]]+", "(?i)jason", r"(?P<id>\w+)", "(?<id>a)", r"\pL\p{Greek}", "a{2,}?", "x{,2}",
     r"[^\]]*", r"\x{10FFFF}", r"\Qa.b*\E", "(?:a|b)+", "[]a]", "[a-]", "(?s:.)", r"\z"],
)  # fmt: skip
def test_re2_takes(pattern: str) -> None:
    assert regex_error(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("(?=a)", "look-ahead"), ("(?<!a)b", "look-behind"), (r"(a)\1", "back-reference"), (r"\k<a>", "back-reference"),
     ("*", "nothing to repeat"), ("a**", "nothing to repeat"), ("a++", "nothing to repeat"), ("(a", "never closed"),
     ("a)", "has no"), ("[a", "never closed"), ("[z-a]", "backwards"), ("a{1001}", "more than 1000"),
     ("a{3,2}", "ends before"), ("(?>a)", "does not exist"), (r"\Z", "does not exist"), ("\\", "lone backslash"),
     ("[[:letters:]]", "class name")],
)  # fmt: skip
def test_re2_refuses(pattern: str, reason: str) -> None:
    assert reason in (regex_error(pattern) or "")


@given(st.text(alphabet="ab()[]{}*+?|\\^$-:<>P=!1,0", max_size=30))
def test_checking_a_regular_expression_always_ends_with_an_answer(pattern: str) -> None:
    assert regex_error(pattern) is None or isinstance(regex_error(pattern), str)


@pytest.mark.parametrize(
    ("text", "plain", "wildcard"),
    [("reviews", True, True), ("a.b.svc.cluster.local", True, True), ("a.b.", True, True), ("*", False, True),
     ("*.a", False, True), ("*-a.b", False, True), ("a.*.b", False, False), ("-a", False, False), ("a..b", False, False),
     ("", False, False), ("a_b", False, False), ("a" * 64, False, False), ("*.", False, False)],
)  # fmt: skip
def test_hosts(text: str, plain: bool, wildcard: bool) -> None:
    assert is_host(text, wildcard=False) is plain
    assert is_host(text, wildcard=True) is wildcard


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10.0.0.1", True), ("10.0.0.1/8", True), ("::1", True), ("2001:db8::/32", True), ("10.0.0.0/255.0.0.0", False),
     ("10.0.0", False), ("10.0.0.0/33", False)],
)  # fmt: skip
def test_ranges(text: str, expected: bool) -> None:
    assert is_cidr(text) is expected


def test_frozen_maps_compare_like_dicts_and_refuse_writes() -> None:
    value = FrozenDict(a="b")
    assert value == {"a": "b"}
    assert hash(value) == hash(FrozenDict({"a": "b"}))
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value
    for write in ("value['a'] = 'c'", "del value['a']", "value.update(a='c')", "value.pop('a')", "value.clear()"):
        with pytest.raises(TypeError, match="immutable"):
            exec(write, {"value": value})


def test_paths_are_written_as_kubectl_does() -> None:
    assert format_path(("spec", "http", 0, "route", 1, "weight")) == "spec.http[0].route[1].weight"
    assert format_path(("metadata", "labels", "app.kubernetes.io/name")) == "metadata.labels[app.kubernetes.io/name]"
