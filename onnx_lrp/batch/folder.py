"""Where everything lies in the folder that a run writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER_OF = 1000  # pictures in one folder: of a million in one, no file manager opens it

_STEM = 120  # bytes of an input's name in that of its picture: a file's name has 255 at most, on encrypted disks 143


@dataclass(frozen=True)
class Folder:
    """The folder of a run: all paths in it.

    While the run goes on, ``parts`` holds one Parquet file for each block that is done, and in the end they become the
    one ``index``.
    """

    path: Path

    @property
    def manifest(self) -> Path:
        """What the run is: model, composite, order, versions, as JSON."""
        return self.path / "batch.json"

    @property
    def inputs(self) -> Path:
        """The items, an Arrow file."""
        return self.path / "inputs.arrow"

    @property
    def index(self) -> Path:
        """One row per input, once all are done."""
        return self.path / "index.parquet"

    @property
    def parts(self) -> Path:
        """The index while the run goes on."""
        return self.path / "index"

    @property
    def predictions(self) -> Path:
        """What a first pass found, in parts as those of the index."""
        return self.path / "predictions"

    @property
    def maps(self) -> Path:
        """A Zarr group with the arrays ``maps/INPUT``, ``scale/INPUT`` and ``scores``."""
        return self.path / "maps.zarr"

    @property
    def lock(self) -> Path:
        """Held by the process that writes."""
        return self.path / ".lock"

    def part(self, block: int) -> Path:
        """The rows of a block."""
        return self.parts / f"{block:08d}.parquet"

    def picture(self, kind: str, row: int, name: str) -> Path:
        """A picture (``"png"`` or ``"figure"``) of a row whose input is called so."""
        stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in Path(name).stem)[:80]
        short = stem.encode()[:_STEM].decode(errors="ignore")  # without a character that was cut in two
        return self.path / kind / f"{row // FOLDER_OF:06d}" / f"{row:09d}_{short}.png"
