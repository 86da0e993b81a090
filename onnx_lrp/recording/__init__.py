"""A record read (``reading``), its explanation repeated (``repeating``), and both held against each other: what went in
(``sources``), rules and results (``differing``), in words (``saying``)."""
