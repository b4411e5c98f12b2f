"""Imports of many contacts by the v3 API."""
