"""The rows people ask about, one sentence each, with what is decided. Every row: test_decide_enumerated."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from core_cells import DD, MP, NOW, ORDINARY, TOPIC, cell, day, no, yes
from golden_cases import CLEANED, FIRST, OLD_YES, OPPOSED, OUT, UNDATED_GONE, WERE_IN, decided, said
from golden_cases_blocks import BLOCKS
from golden_cases_double_opt_in import RESUBSCRIBING
from golden_cases_latch import LATCHED
from golden_cases_mass import MASS
from golden_cases_own_writes import OWN_WRITES
from golden_cases_restored import RESTORED
from golden_cases_statements import STATEMENTS

from bridge.core.decide import decide
from bridge.core.decision import RULE_TEXT, Act, Rule, is_raise, writes_of
from bridge.core.writes import Withdrawal

GOLDEN_CASES = STATEMENTS | BLOCKS | RESUBSCRIBING | LATCHED | MASS | OWN_WRITES | RESTORED


@pytest.mark.parametrize("sentence", GOLDEN_CASES)
def test_people_get_the_answer_that_was_promised(sentence: str) -> None:
    assert said(decided(GOLDEN_CASES[sentence])) == GOLDEN_CASES[sentence][0]


def test_no_sentence_occurs_twice() -> None:
    assert len(GOLDEN_CASES) == sum(
        map(len, (STATEMENTS, BLOCKS, RESUBSCRIBING, LATCHED, MASS, OWN_WRITES, RESTORED))
    )


def test_every_rule_is_explained_in_words() -> None:
    assert set(RULE_TEXT) == set(Rule)
    assert all(words and not words.endswith(".") for words in RULE_TEXT.values())


def test_every_rule_the_core_decides_by_has_a_golden_case() -> None:
    engine_only = {Rule.UNREADABLE}
    covered = {rule for rule in Rule for expected, *_ in GOLDEN_CASES.values() if rule.value in expected}
    assert covered == set(Rule) - engine_only


def test_only_a_raise_or_an_adjustment_counts_as_raising() -> None:
    raised = decide(TOPIC, OLD_YES, None, False, ORDINARY)
    withdrawn = decide(TOPIC, CLEANED, None, False, ORDINARY)
    waiting = decide(TOPIC, OLD_YES, None, False, FIRST)
    assert (is_raise(raised), is_raise(withdrawn), is_raise(waiting)) == (True, False, False)
    assert (len(writes_of(raised)), len(writes_of(withdrawn)), writes_of(waiting)) == (1, 1, ())


def test_an_act_carries_the_person_s_own_date() -> None:
    decision = decide(TOPIC, CLEANED, None, False, ORDINARY)
    assert isinstance(decision, Act)
    assert decision.writes == (Withdrawal(MP, TOPIC.id, said_at=day(20), effective_at=day(20)),)
    assert (decision.choice, decision.at) == (OUT, day(20))


def test_a_withdrawal_older_than_what_it_ends_is_dated_just_past_it() -> None:
    """MyPreferences takes an update with an older CustomerDate and does not honour it."""
    decision = decide(TOPIC, OPPOSED, None, False, ORDINARY)
    assert isinstance(decision, Act)
    (write,) = decision.writes
    assert isinstance(write, Withdrawal)
    assert (write.said_at, write.effective_at) == (day(10), day(20) + timedelta(seconds=1))


def test_an_undated_withdrawal_is_remembered_as_new_as_its_reading() -> None:
    """Agreed at the date of the older opt-in, an opt-in given before the opt-out would undo it (I1)."""
    decision = decide(TOPIC, cell(yes(5), no(), WERE_IN), None, False, ORDINARY)
    assert isinstance(decision, Act)
    assert decision.at >= cell(yes(5), no()).seen[DD].read_at


def test_an_undated_unsubscribe_that_spreads_is_remembered_as_new_as_its_own_reading() -> None:
    later = replace(UNDATED_GONE, seen={**UNDATED_GONE.seen, DD: replace(no(), read_at=NOW)})
    decision = decide(TOPIC, cell(yes(5), yes(6), WERE_IN), later, True, ORDINARY)
    assert isinstance(decision, Act)
    assert decision.at == NOW
