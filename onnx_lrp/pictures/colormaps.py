"""Colour maps that diverge from no relevance at all to the strongest, for and against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..text import nearest, printable

# Equal steps of lightness in OKLab from white outwards, and the same steps on both sides, so that equal amounts of
# relevance look equally strong whatever their sign.
RED = ((255, 255, 255), (254, 201, 195), (253, 141, 123), (237, 77, 54), (194, 26, 19), (137, 7, 14))
BLUE = ((255, 255, 255), (184, 220, 254), (117, 181, 252), (52, 137, 251), (25, 95, 217), (9, 53, 177))
STOPS = np.array((*BLUE[:0:-1], *RED), np.float64)
# The same steps along two hues that stay apart under every common colour blindness
ORANGE = ((255, 255, 255), (255, 204, 164), (254, 146, 27), (205, 114, 1), (155, 85, 0), (107, 57, 3))
PURPLE = ((255, 255, 255), (222, 206, 255), (192, 155, 255), (164, 95, 255), (135, 0, 236), (93, 2, 165))
COOL = ((0, 0, 0), (0, 0, 255), (0, 255, 255))
HOT = ((0, 0, 0), (255, 0, 0), (255, 255, 0))
SEISMIC = ((0, 0, 77), (0, 0, 255), (255, 255, 255), (255, 0, 0), (128, 0, 0))

# From the strongest relevance against the explained output to the strongest for it, at equal distances, (stops, 3)
COLOUR_MAPS: dict[str, NDArray[np.float64]] = {
    "bwr": STOPS,
    "puor": np.array((*PURPLE[:0:-1], *ORANGE), np.float64),
    "seismic": np.array(SEISMIC, np.float64),
    "coldnhot": np.array((*COOL[:0:-1], *HOT), np.float64),
}


def colour_map(name: str) -> NDArray[np.float64]:
    """The stops of a colour map, (stops, 3), 0 to 255.

    ``bwr``: blue, white, red, equally light on both sides. ``puor``: the same with purple and orange, which the colour
    blind tell apart. ``seismic``: darker blue and red, as in matplotlib. ``coldnhot``: black where nothing is relevant.

    Raises:
        InputError: there is no such map, with the nearest.

    """
    if isinstance(name, str) and name in COLOUR_MAPS:
        return COLOUR_MAPS[name]
    meant = nearest(str(name).lower(), COLOUR_MAPS)
    raise InputError(f"no colour map {printable(str(name), 40)!r}{meant}; there are {', '.join(COLOUR_MAPS)}")


def colours(share: NDArray[np.float64], cmap: str = "bwr") -> NDArray[np.float64]:
    """Turn shares (H, W) of the strongest relevance, within -1 and 1, into colours (H, W, 3), 0 to 255.

    Raises:
        InputError: an unknown colour map.

    """
    stops = colour_map(cmap)
    positions = np.linspace(-1, 1, len(stops))
    return np.stack([np.interp(share, positions, stops[:, band]) for band in range(3)], axis=2)
