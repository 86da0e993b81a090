"""Whether two models give the same reasons: matched layers, measures, and a report."""
