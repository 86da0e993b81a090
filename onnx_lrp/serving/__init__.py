"""A converted model where it is served: a folder for Triton, one for KServe, a file for browsers."""
