"""Stoplight Prism from npm, installed into a temporary folder."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.spec_check.published import Failed, Skipped

PACKAGE = "@stoplight/prism-cli@5.14.2"
_INSTALL_SECONDS, _START_SECONDS = 600, 120


@contextlib.contextmanager
def installed() -> Iterator[Path]:
    """The `prism` command. Raises Skipped without npm, Failed where npm cannot fetch it."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Skipped("npm is not here; install Node.js to have the client's requests checked by Prism")
    with tempfile.TemporaryDirectory(prefix="prism-") as folder:
        run = subprocess.run(
            [npm, "install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error", PACKAGE],
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
        command = Path(folder) / "node_modules" / ".bin" / "prism"
        if run.returncode != 0 or not command.exists():
            raise Failed(f"npm could not install {PACKAGE}:\n{run.stdout}{run.stderr}")
        yield command


@contextlib.contextmanager
def mock(command: Path, description: Path) -> Iterator[tuple[str, Path]]:
    """Prism serving the description: its base URL, and the log that tells why it refused something."""
    with tempfile.TemporaryDirectory(prefix="prism-") as folder:
        log = Path(folder) / "prism.log"
        port = _free_port()
        with log.open("w", encoding="utf-8") as out:
            process = subprocess.Popen(
                [str(command), "mock", "-h", "127.0.0.1", "-p", str(port), str(description)],
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            try:
                _await(process, port, log)
                yield f"http://127.0.0.1:{port}", log
            finally:
                process.terminate()
                process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise Failed(f"Prism did not come up:\n{log.read_text(encoding='utf-8')}")
