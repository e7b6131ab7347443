"""Lines from any bytes."""

from hypothesis import given
from hypothesis import strategies as st

from weft_cli.up.lines import LineSplitter, printable


def test_lines_may_be_cut_anywhere() -> None:
    splitter = LineSplitter()
    fed = [line for byte in "größer\r\nzwei\n".encode() for line in splitter.feed(bytes([byte]))]
    assert fed == ["größer", "zwei"]
    assert splitter.finish() == []


def test_the_end_without_a_newline_is_a_line() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\n\ntwo") == ["one", ""]
    assert splitter.finish() == ["two"]
    assert splitter.finish() == []


def test_a_long_line_is_cut_into_marked_pieces() -> None:
    splitter = LineSplitter(longest=4)
    assert splitter.feed(b"abcdefghij") == ["abcd…", "efgh…"]
    assert splitter.feed(b"\nklmnopq\n") == ["ij", "klmn…", "opq"]


def test_colours_are_dropped_and_control_characters_spelled_out() -> None:
    assert printable(b"\x1b[1;31mred\x1b[0m\tand \x1b]0;title\x07plain") == "red\tand plain"
    assert printable(b"bell\x07 back\x08 half\xff\x9b c1\xc2\x9b") == r"bell\x07 back\x08 half\xff\x9b c1\x9b"


@given(chunks=st.lists(st.binary(max_size=40)))
def test_chunks_never_matter(chunks: list[bytes]) -> None:
    split, whole = LineSplitter(longest=7), LineSplitter(longest=7)
    lines = [line for chunk in chunks for line in split.feed(chunk)] + split.finish()
    assert lines == whole.feed(b"".join(chunks)) + whole.finish()
    assert all(character.isprintable() or not character.isascii() or character == "\t" for character in "".join(lines))
