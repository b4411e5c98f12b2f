"""Exports and imports of many profiles."""
