"""`bridge doctor`: the checks, one module a subject, and the command that prints them."""
