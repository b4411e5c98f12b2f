"""`bridge run`: scheduled runs, and health over HTTP."""
