"""`bridge run`: rounds on a schedule, and a web face that tells how it is."""

from bridge.daemon.daemon import Daemon
from bridge.daemon.worker import Runner

__all__ = ["Daemon", "Runner"]
