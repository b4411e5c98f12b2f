"""Dotdigital's rate limits: what is left, and who may use it."""
