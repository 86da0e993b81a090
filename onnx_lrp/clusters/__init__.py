"""Explaining on many machines: rows of a data frame one by one, and blocks of a run that outlive their workers."""
