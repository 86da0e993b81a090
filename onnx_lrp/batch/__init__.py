"""Very many inputs explained one by one: read, explained and stored in blocks, in one process or on a cluster."""
