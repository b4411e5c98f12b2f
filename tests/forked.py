"""Processes that are forked from an interpreter which has already imported the bridge.

They are real processes: with a PID, signals, streams and an exit code of their own, and they share only the
state DB. The time an interpreter takes to import everything, about a second, is spent once for each test
worker. A test whose promise is about start-up itself takes an interpreter of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from tests.waiting import PATIENCE, wait_until

Main = Callable[[], int | None]

ROOT = Path(__file__).parents[1]
LATE = ("alembic.command", "alembic.autogenerate", "uvicorn.protocols.http.h11_impl", "uvicorn.loops.asyncio")
"""What the bridge's modules import only when a function is called."""


def _modules() -> list[str]:
    files = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "bridge").rglob("*.py")]
    return sorted(".".join(path.parts) for path in files if not path.stem.startswith("__"))


_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([*_modules(), *LATE, "tests.forked"])


class ForkedProcess:
    """Runs `main` with `args` as its command line, in `folder`, with `environ` as its whole environment.

    `main` must be importable. `strict` makes every warning an error. `out` and `err` hold the lines printed
    so far.
    """

    def __init__(
        self,
        main: Main,
        args: Sequence[str | Path] = (),
        *,
        environ: Mapping[str, str],
        folder: Path = ROOT,
        strict: bool = False,
    ) -> None:
        ours, theirs = zip(*(_SERVER.Pipe(duplex=False) for _ in range(2)), strict=True)
        words = [str(arg) for arg in args]
        self._process = _SERVER.Process(
            target=_child, args=(main, words, dict(environ), folder, strict, *theirs), daemon=True
        )
        self._process.start()
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=_read, args=(stream, lines), daemon=True)
            for stream, lines in zip(ours, (self.out, self.err), strict=True)
        ]
        for stream in theirs:
            stream.close()
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Its process number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def first_line(self) -> str:
        """Wait for its first line on stdout. Raises AssertionError where it ends without one."""
        wait_until(lambda: bool(self.out) or not self.running, "the process has printed a line")
        if not self.out and self.ended() is not None and not self.out:
            raise AssertionError("\n".join(self.err))
        return self.out[0]

    def ended(self) -> int:
        """Wait for its end. Returns the exit code; minus the number of the signal that ended it."""
        self._process.join(2 * PATIENCE)
        code = self._process.exitcode
        assert code is not None, "the process has not ended"
        for reader in self._readers:
            reader.join()
        return code

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self.ended()


def run_code() -> None:
    """For `main`: run the code that is its first argument, with the other arguments."""
    exec(compile(sys.argv.pop(1), "<test>", "exec"), {})  # noqa: S102 - a test's own code


def text(lines: Sequence[str]) -> str:
    """The lines as they were printed."""
    return "".join(f"{line}\n" for line in lines)


def _read(stream: Connection, lines: list[str]) -> None:
    with os.fdopen(os.dup(stream.fileno()), encoding="utf-8") as text:
        stream.close()
        lines.extend(line.rstrip("\n") for line in iter(text.readline, ""))


def _child(
    main: Main,
    args: list[str],
    environ: Mapping[str, str],
    folder: Path,
    strict: bool,
    out: Connection,
    err: Connection,
) -> None:
    """What a new interpreter sets up, then `main`."""
    for stream, number in ((out, 1), (err, 2)):
        os.dup2(stream.fileno(), number)
        stream.close()
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        signal.signal(number, handler)
    sys.argv[1:] = args
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    if strict:
        warnings.simplefilter("error")
    sys.exit(main())
