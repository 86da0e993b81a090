"""A report as one HTML file: what it says (``content``), what it draws (``drawing``), its account as a waterfall
(``waterfall``), the quality of its method (``quality``), and the page (``page``)."""

MOST_ON_A_PAGE = 50  # of one page
