"""A report as one HTML file: what it says (``content``), what it draws (``drawing``), its account as a waterfall
(``waterfall``), evaluations that it shows (``quality``), and the page (``page``)."""
