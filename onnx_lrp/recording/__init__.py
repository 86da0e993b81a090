"""A record read (``reading``), its explanation repeated (``repeating``), and the two held against each other
(``differing``)."""
