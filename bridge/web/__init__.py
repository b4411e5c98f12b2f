"""The daemon's web face: how it is, over HTTP."""
