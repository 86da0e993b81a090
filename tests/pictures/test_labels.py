"""Names of classes, and the small text files that they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_lrp.errors import InputError, TargetError
from onnx_lrp.pictures.labels import index_of, near, read_labels
from onnx_lrp.pictures.lines import MOST_TEXT_BYTES, read_lines


def test_the_names_of_imagenet_ship() -> None:
    names = read_labels("imagenet")
    assert len(names) == 1000
    assert (names[0], names[281], names[967], names[999]) == ("tench", "tabby", "espresso", "toilet tissue")


def test_a_file_and_a_list(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfa\r\nb c \r\n\x1b[31md\r\n\r\n")
    assert read_labels(tmp_path / "names.txt") == ("a", "b c", "\\x1b[31md")
    assert read_labels(["x", "y"]) == ("x", "y")
    assert read_labels(None) == ()


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file of birds"), (b"\xff", "UTF-8"), ("big", "large")]
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes | str | None, message: str) -> None:
    path = tmp_path / "a"
    if content == "big":
        with path.open("wb") as file:
            file.truncate(MOST_TEXT_BYTES + 1)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_lines(path, "birds")


def test_labels_are_words() -> None:
    with pytest.raises(InputError, match="labels are names"):
        read_labels([1, 2])  # type: ignore[list-item]


def test_a_name_is_looked_up() -> None:
    names = read_labels("imagenet")
    assert index_of("espresso", names) == 967
    for text, message in (
        ("expresso", "no class has the label 'expresso'; give an index, or one of 'espresso'"),
        ("xqzw", "no class has the label 'xqzw'; give an index$"),
    ):
        with pytest.raises(TargetError, match=message):
            index_of(text, names)
    with pytest.raises(TargetError, match="classes 0, 2 share the label 'crane'; give an index"):
        index_of("crane", ("crane", "dog", "crane"))
    with pytest.raises(TargetError, match="give all names"):
        index_of("cat", ())


def test_near_misses() -> None:
    assert near("Tabby", ["tabby", "cat"]) == ["tabby"]
    assert near("cat", ["Egyptian cat", "tiger cat", "dog"]) == ["tiger cat", "Egyptian cat"]
    assert near("zzz", ["a", "b"]) == []
