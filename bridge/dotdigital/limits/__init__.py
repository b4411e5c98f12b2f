"""Dotdigital's rate limits: what is left, and which calls may use it."""
