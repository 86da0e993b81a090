"""The command line: thin, everything it does is in the library."""
