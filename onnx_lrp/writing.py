"""The files of one run: checked before anything is computed, and written together or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .errors import OutputError
from .staging import temporary
from .text import printable

Writer = Callable[[Path], None]


def shown(path: Path | str) -> str:
    """A path as it is printed: whole, but for control characters."""
    return printable(str(path), 4096)


@dataclass
class Outputs:
    """Where a run writes; ``force`` allows replacing files, but for those that the run reads.

    ``former`` says of a file that it may be replaced all the same.
    """

    force: bool = False
    read: Callable[[], Iterable[Path]] = tuple
    former: Callable[[Path], bool] = lambda _: False
    _reserved: set[Path] = field(default_factory=set)
    _writers: dict[Path, Writer] = field(default_factory=dict)

    def check_folders(self, *paths: str) -> None:
        """Raise if nothing can be written there.

        Raises:
            OutputError: a folder does not exist or is read-only.
        """
        for path in filter(None, paths):
            _check_folder(Path(path))

    def reserve(self, path: Path) -> None:
        """Promise to write ``path``.

        Raises:
            OutputError: no such folder, the file exists and must not be replaced, the run reads it, or it is promised
                already.
        """
        _check_folder(path)
        if os.path.isdir(path):  # unlike Path.is_dir, it takes any name
            raise OutputError(f"{shown(path)}: is a folder; give the name of a file")
        if os.path.lexists(path) and not self.force and not self.former(path):
            raise OutputError(f"{shown(path)}: exists already; choose another name, or force its replacement (--force)")
        if os.path.exists(path) and any(os.path.exists(kept) and os.path.samefile(kept, path) for kept in self.read()):
            raise OutputError(f"{shown(path)}: is read by this very run; choose another name")
        if path in self._reserved:
            raise OutputError(f"{shown(path)}: two results would go to this one file; explain them one at a time")
        self._reserved.add(path)

    @property
    def paths(self) -> list[Path]:
        """The files that are written."""
        return list(self._writers)

    def add(self, path: Path, writer: Writer) -> None:
        """Have ``writer`` make the file when all is done.

        Raises:
            OutputError: as for ``reserve``, if that was not called before.
        """
        if path not in self._reserved:
            self.reserve(path)
        self._writers[path] = writer

    def then(self, path: Path, step: Writer) -> None:
        """Have ``step`` work on a file after it is made, and before it gets its name."""
        first = self._writers[path]

        def both(temporary: Path) -> None:
            first(temporary)
            step(temporary)

        self._writers[path] = both

    def write(self) -> None:
        """Make every file under a temporary name next to its own, then rename them all.

        Raises:
            OutputError: one of them cannot be written; then none is.
        """
        staged = {path: temporary(path.parent, path.suffix) for path in self._writers}
        try:
            for path, writer in self._writers.items():
                writer(staged[path])
            for path, made in staged.items():
                os.replace(made, path)
        except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{shown(path)}: cannot be written: {reason}") from None
        finally:
            for made in staged.values():
                made.unlink(missing_ok=True)


def write_file(path: Path, writer: Writer, force: bool = False) -> None:
    """Write one file, whole or not at all.

    Raises:
        OutputError: as for :class:`Outputs`.
    """
    outputs = Outputs(force)
    outputs.add(path, writer)
    outputs.write()


def _check_folder(path: Path) -> None:
    folder = path.parent
    if not os.path.isdir(folder):
        raise OutputError(f"{shown(path)}: the folder {shown(folder)} does not exist; create it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{shown(path)}: the folder {shown(folder)} is read-only; choose another one")


def write_bytes(content: bytes, path: Path) -> None:
    """What a writer of ready content does."""
    path.write_bytes(content)
