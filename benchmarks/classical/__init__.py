"""Classical ways to the rows of ``rows.py``: a file a method, each refined until the budget or the rounding ends it."""
