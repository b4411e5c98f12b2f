"""How much code one opt-out passes through: `python -m tests.bench.call_path [--list]`.

A contact opts out of a topic at Dotdigital. The incremental run that reads the feed, decides, writes to
MyPreferences, reads the write back and settles the ledger entry is watched by a profile function. Counted are
functions of bridge/ without the sandbox: each code object once, comprehensions included, in all threads.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.scenarios.live import IN, NEWS, OUT, THEIRS, Live, Plan, running_servers

ROOT = Path(__file__).parents[2]
BRIDGE = f"{ROOT / 'bridge'}/"
SANDBOX = f"{BRIDGE}sandbox/"


@dataclass
class CallPath:
    """The functions called, in the order of their first calls, and the deepest nesting of their frames."""

    functions: dict[CodeType, int] = field(
        default_factory=dict
    )  # calls; a generator's resumes are among them
    deepest: tuple[str, ...] = ()
    _depth: threading.local = field(default_factory=threading.local)

    @property
    def files(self) -> Counter[str]:
        """How many functions of each file were called."""
        return Counter(shown_file(code) for code in self.functions)

    @property
    def figures(self) -> tuple[int, int, int]:
        """Functions, files, frames."""
        return len(self.functions), len(self.files), len(self.deepest)

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        """The profile function."""
        if event not in ("call", "return") or not counts(frame.f_code):
            return
        depth = getattr(self._depth, "now", 0) + (1 if event == "call" else -1)
        self._depth.now = depth
        if event == "call":
            self.functions[frame.f_code] = self.functions.get(frame.f_code, 0) + 1
            if depth > len(self.deepest):
                self.deepest = tuple(stack(frame))


def counts(code: CodeType) -> bool:
    """Whether it is the bridge's, and not the sandbox's."""
    return code.co_filename.startswith(BRIDGE) and not code.co_filename.startswith(SANDBOX)


def stack(frame: FrameType | None) -> Iterator[str]:
    """The frames of the bridge, the innermost first."""
    while frame is not None:
        if counts(frame.f_code):
            yield f"{shown_file(frame.f_code)}:{frame.f_lineno} {frame.f_code.co_qualname}"
        frame = frame.f_back


def shown_file(code: CodeType) -> str:
    return str(Path(code.co_filename).relative_to(ROOT))


@contextmanager
def watched(path: CallPath) -> Iterator[None]:
    """Every call of this thread, and of the threads that it starts."""
    threading.setprofile(path.note)
    sys.setprofile(path.note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def measure(folder: Path) -> CallPath:
    """One opt-out at Dotdigital, carried over by an ordinary incremental run."""
    path = CallPath()
    with running_servers(folder) as servers:
        live = Live(servers, folder, Plan())
        ada = live.add("ada", both={NEWS: IN})
        live.started()
        live.until_quiet()
        live.say(THEIRS, ada, NEWS, OUT)
        with watched(path):
            report = live.round()
        assert report.kind == "incremental", report.kind
        assert report.written.writes == 1, report.shown()
        assert live.mine(ada, NEWS) is OUT
        live.close()
    return path


def table(path: CallPath) -> str:
    """The figures, the files with the most functions first, and the deepest stack."""
    functions, files, depth = path.figures
    lines = [f"{functions} functions in {files} files, {depth} deep", ""]
    lines += [f"{count:4}  {name}" for name, count in path.files.most_common()]
    lines += ["", "The deepest stack, outermost first:"]
    lines += [f"{number:4}  {name}" for number, name in enumerate(reversed(path.deepest), 1)]
    return "\n".join(lines)


def listing(path: CallPath) -> str:
    """Every function with its calls, in the order of the first."""
    return "\n".join(
        f"{number:4}  {shown_file(code)}:{code.co_firstlineno} {code.co_qualname} ({calls})"
        for number, (code, calls) in enumerate(path.functions.items(), 1)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Functions that one opt-out passes through.")
    parser.add_argument("--list", action="store_true", help="name each function, in call order")
    with tempfile.TemporaryDirectory() as folder:
        path = measure(Path(folder))
    if parser.parse_args().list:
        print(listing(path), end="\n\n")
    print(table(path))


if __name__ == "__main__":
    main()
