"""`bridge doctor`: the checks, grouped by subject, and the command that prints them."""
