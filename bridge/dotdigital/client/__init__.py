"""The HTTP clients of v2 and v3, their wire types and their errors."""
