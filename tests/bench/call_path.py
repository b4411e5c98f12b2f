"""How much code one opt-out passes through: `python -m tests.bench.call_path [--list]`.

A contact opts out of a topic at Dotdigital. The incremental run that reads the feed, decides, writes to
MyPreferences, reads the write back and settles the ledger entry is watched by a profile function. Counted are
functions of bridge/ without the sandbox: each code object once, comprehensions included, in all threads.
Two figures are printed: the whole run, which also reads everything else that a run reads, and the steps of
the opt-out itself (`STEPS`): feed pages, the decision, the write with its attempt and read-back, the ledger.
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
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.scenarios.live import IN, NEWS, OUT, THEIRS, Live, Plan, running_servers

ROOT = Path(__file__).parents[2]
BRIDGE = f"{ROOT / 'bridge'}/"
SANDBOX = f"{BRIDGE}sandbox/"
STEPS = ("DotdigitalReader.read_feed", "FeedPoller._store", "Decider.person", "Sender.send")
"""Where the steps of one opt-out begin; what they call is counted."""


@dataclass
class CallPath:
    """The functions called, in the order of their first calls, and the deepest nesting of their frames.
    `steps` empty: of the whole run; else only those within these functions, nesting counted from there."""

    steps: tuple[str, ...] = ()
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
        inside = getattr(self._depth, "now", 0)
        if self.steps and not inside and frame.f_code.co_qualname not in self.steps:
            return
        depth = inside + (1 if event == "call" else -1)
        self._depth.now = max(0, depth)
        if event == "call":
            self.functions[frame.f_code] = self.functions.get(frame.f_code, 0) + 1
            if depth > len(self.deepest):
                self.deepest = tuple(islice(stack(frame), depth))


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
def watched(*paths: CallPath) -> Iterator[None]:
    """Every call of this thread, and of the threads that it starts."""

    def note(frame: FrameType, event: str, argument: Any) -> None:
        for path in paths:
            path.note(frame, event, argument)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def measure(folder: Path) -> tuple[CallPath, CallPath]:
    """One opt-out at Dotdigital, written to MyPreferences by an ordinary incremental run: the whole run, and
    the steps of the opt-out."""
    whole, steps = CallPath(), CallPath(STEPS)
    with running_servers(folder) as servers:
        live = Live(servers, folder, Plan())
        ada = live.add("ada", both={NEWS: IN})
        live.started()
        live.until_quiet()
        live.say(THEIRS, ada, NEWS, OUT)
        with watched(whole, steps):
            report = live.run()
        assert report.kind == "incremental", report.kind
        assert report.written.writes == 1, report.shown()
        assert live.mine(ada, NEWS) is OUT
        live.close()
    return whole, steps


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
    wants_list = parser.parse_args().list
    with tempfile.TemporaryDirectory() as folder:
        whole, steps = measure(Path(folder))
    for title, path in (("The whole run", whole), ("The steps of the opt-out", steps)):
        print(f"{title}: {table(path)}\n")
    if wants_list:
        print(listing(steps))


if __name__ == "__main__":
    main()
