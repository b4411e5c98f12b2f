"""Signing in to MyPreferences: OAuth, client certificate, or PNAUTHINFO3."""
