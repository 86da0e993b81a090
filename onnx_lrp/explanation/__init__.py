"""What an explanation holds (``value``), where it comes from (``context``), and how it is kept (``files``)."""

from .context import Context
from .value import Explanation

__all__ = ["Context", "Explanation"]
