"""Which lease owners are known to be gone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from bridge.store.lease import is_gone, this_process


def test_a_process_that_runs_is_not_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert not is_gone(str(replace(this_process(), pid=other.pid)))
        other.communicate(b"\n")


def test_a_process_that_ended_on_this_machine_is_gone() -> None:
    other = subprocess.Popen([sys.executable, "-c", ""])
    other.wait()
    assert is_gone(str(replace(this_process(), pid=other.pid)))


def test_this_process_is_not_gone_but_an_earlier_one_with_its_number_is() -> None:
    assert not is_gone(str(this_process()))
    assert is_gone(str(replace(this_process(), token="000000")))


def test_what_cannot_be_known_counts_as_running() -> None:
    mine = this_process()
    for other in (replace(mine, host="elsewhere"), replace(mine, space="1-2"), replace(mine, space="")):
        assert not is_gone(str(replace(other, pid=999_999_999)))
    assert not is_gone("not a process name")
