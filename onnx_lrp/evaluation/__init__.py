"""How good explanations of a model are: published measures, methods to compare with, intervals, and a report."""
