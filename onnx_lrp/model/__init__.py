"""From a file to a checked graph in which every node has a role: load, canonize, validate."""
