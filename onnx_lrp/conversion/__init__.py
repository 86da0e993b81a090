"""Compile the explanation into the model: the same plan and the same walk, on symbolic values.

``sizes`` find out every shape, ``activations`` stand for the source's tensors and weights, ``seeds`` start the walk,
``conversion`` puts it all together.
"""

from .convert import convert

__all__ = ["convert"]
