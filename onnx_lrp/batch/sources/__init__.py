"""Where the inputs of a run lie: files, rows of arrays and tables, members of archives."""
