"""Drafting a mapping: which filter or consent matches which preference, by name."""
