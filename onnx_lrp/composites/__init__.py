"""Which rule goes where: a composite is an ordered list of (selector → rule); the first selector that matches wins.

A composite is data: it prints as a table, is written to and read from TOML, and entries in front override it::

    Composite.parse("epsilon_gamma_box:low=0,high=1").with_entries((Selector(name="*stem*"), Flat()))

``layers`` is what a selector sees of a node, ``selectors`` choose, ``composite`` assigns, ``library`` holds the named
ones, ``naming`` reads ``NAME[:key=value,...]``, ``toml`` files, ``catalogue`` describes.
"""

from .bounds import Bounded
from .catalogue import describe, presets
from .composite import Composite, Entry
from .layers import CONVOLUTION, DENSE, DIAGONAL, WEIGHTED, LayerInfo, Place, Sizes
from .library import preset
from .naming import PRESETS
from .selectors import Selector

__all__ = [
    "CONVOLUTION", "DENSE", "DIAGONAL", "PRESETS", "WEIGHTED", "Bounded", "Composite", "Entry", "LayerInfo", "Place",
    "Selector", "Sizes", "describe", "preset", "presets",
]  # fmt: skip
