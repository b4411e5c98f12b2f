"""Observe, decide, apply, settle; recover; sweep. Knows the core and its ports only."""
