"""The mapping file: what it means, and how its problems are reported."""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.errors import ConfigError
from bridge.core.mapping import (
    Conflict,
    ConsentRef,
    Direction,
    FilterRef,
    OnDeletion,
    OnUnsubscribe,
    Topic,
)
from bridge.core.model import CHANNEL, Side, TopicId
from bridge.core.writes import Resubscribe
from bridge.mapping_file import check_mapping_text, load_mapping, read_mapping, schema
from tests.house.tree import ROOT

EXAMPLE = ROOT / "mappings" / "bridge.toml"
NEWS = """
[[topics]]
id = "news"
mypreferences = { filter = "NEWS" }
dotdigital = { preference = 1 }
"""
CHANNEL_TABLE = """
[channels.email]
mypreferences = { consent = "EmailMarketing", version = "1.0", locale = "en_US" }
dotdigital = "email"
"""


def problems(text: str) -> list[str]:
    return [str(problem) for problem in check_mapping_text(f"version = 1\n{text}", "m.toml")]


def topic(source: str, target: str, rest: str = "", name: str = "a") -> str:
    return f'[[topics]]\nid = "{name}"\nmypreferences = {source}\ndotdigital = {target}\n{rest}\n'


def test_the_example_means_what_it_says() -> None:
    mapping = load_mapping(EXAMPLE)
    assert mapping.channel == Topic(CHANNEL, ConsentRef("EmailMarketing", "1.0", "en_US"), {})
    assert mapping.on_unsubscribe is OnUnsubscribe.CHANNEL
    assert not mapping.unsubscribe_withdraws_topics
    newsletter, profiling, offers = mapping.topics
    assert newsletter == Topic(TopicId("newsletter"), FilterRef("NEWS_EMAIL", "Primary"), {"": 1002})
    assert profiling.conflict is Conflict.HOLD
    assert profiling.source == ConsentRef("Profiling", "1.0", "en_US")
    assert offers == Topic(TopicId("offers"), FilterRef("OFFERS_EMAIL"), {"DAILY": 1003, "WEEKLY": 1004})
    assert offers.has_frequencies
    assert mapping.preference_ids == (1002, 1010, 1003, 1004)


def test_what_is_left_out_is_the_cautious_choice() -> None:
    mapping = read_mapping(f"version = 1\n{NEWS}", "m.toml")
    assert mapping.channel.source is None
    assert mapping.unsubscribe_withdraws_topics
    assert mapping.channel.resubscribe is Resubscribe.HOLD
    assert (mapping.topics[0].conflict, mapping.topics[0].direction) == (
        Conflict.WITHDRAWAL_WINS,
        Direction.BOTH,
    )


def test_what_a_deletion_means_reaches_every_topic() -> None:
    text = f'version = 1\n[defaults]\non_deletion = "withdraw"\n{NEWS}'
    assert {one.on_deletion for one in read_mapping(text, "m.toml").all} == {OnDeletion.WITHDRAW}
    by_default = read_mapping(f"version = 1\n{NEWS}", "m.toml")
    assert {one.on_deletion for one in by_default.all} == {OnDeletion.UNLINK}


def test_defaults_reach_every_topic_that_does_not_say_otherwise() -> None:
    text = 'version = 1\n[defaults]\nconflict = "latest"\ndirection = "to_dotdigital"\n'
    text += CHANNEL_TABLE + 'direction = "both"\nconflict = "dotdigital"\n' + NEWS
    mapping = read_mapping(
        text + topic('{ filter = "B" }', "{ preference = 2 }", 'conflict = "hold"'), "m.toml"
    )
    assert [one.conflict for one in mapping.all] == [Conflict.DOTDIGITAL, Conflict.LATEST, Conflict.HOLD]
    assert [one.direction.allows(Side.MYPREFERENCES) for one in mapping.all] == [True, False, False]


def test_the_channel_may_be_a_filter_and_may_withdraw_all_topics() -> None:
    text = 'version = 1\n[channels.email]\nmypreferences = { filter = "ALL" }\ndotdigital = "email"\n'
    text += 'on_unsubscribe = "all_topics"\nresubscribe = "challenge"\n'
    mapping = read_mapping(text + NEWS, "m.toml")
    assert mapping.channel.source == FilterRef("ALL")
    assert mapping.unsubscribe_withdraws_topics
    assert mapping.channel.resubscribe is Resubscribe.CHALLENGE


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_bytes(b"\xef\xbb\xbfversion = 1\r\n" + NEWS.replace("\n", "\r\n").encode())
    assert load_mapping(path).topics[0].id == "news"


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("a = ", "m.toml, at its end", "not TOML: invalid value"),
        ("\n[defaults\nx = 1", "m.toml, line 3, column 10", "not TOML: "),
        (
            "[[topics]]\nid = 'a'\nid = 'b'\n#",
            "m.toml, line 4, column 9",
            "not TOML: cannot overwrite a value",
        ),
        ("extra = 1" + NEWS, "m.toml, line 2, key extra", 'the key "extra" is unknown'),
        ("topic = 1" + NEWS, "m.toml, line 2, key topic", 'known key is "topics"'),
        ("topics = 3", "m.toml, line 2, key topics", "it is not a list of tables"),
        ("topics = [3]", "m.toml, line 2, topic 1", "it is not a table"),
        (
            "defaults = 3" + NEWS,
            "m.toml, line 2, key defaults",
            "it is not a table. Write it as a table: [defaults]",
        ),
        (
            "[defaults]\nconflict = 'last'" + NEWS,
            "m.toml, line 3, key defaults.conflict",
            '"withdrawal_wins"',
        ),
        ("[defaults]\non_deletion = 1" + NEWS, "m.toml, line 3, key defaults.on_deletion", '"withdraw"'),
        ("[defaults]\ndirection = 1" + NEWS, "m.toml, line 3, key defaults.direction", '"to_dotdigital"'),
        ("[channels.sms]" + NEWS, "m.toml, line 2, key channels.sms", 'The nearest known key is "email"'),
        ("[channels]\nemail = 1" + NEWS, "m.toml, line 3, key channels.email", "it is not a table"),
        ("", "m.toml", "it maps nothing"),
    ],
)
def test_a_wrong_file_is_reported_by_line(text: str, place: str, what: str) -> None:
    (found,) = problems(text)
    assert found.startswith(f"{place}: ")
    assert what in found


@pytest.mark.parametrize("version", ["true", "1.0", '"1"', "2", "0"])
def test_any_version_but_1_is_refused(version: str) -> None:
    (found,) = check_mapping_text(f"version = {version}\n{NEWS}", "m.toml")
    assert found.place == "m.toml, line 1, key version"
    assert found.hint == "Write version = 1, the only version this program reads."
    (missing,) = check_mapping_text(NEWS, "m.toml")
    assert (missing.place, missing.what) == ("m.toml, key version", "it is missing")


A, P = '{ filter = "A" }', "{ preference = 7 }"
C = '{ consent = "A", version = "1", locale = "x" }'
M, D = "mypreferences", "dotdigital"


@pytest.mark.parametrize(
    ("source", "target", "key", "what"),
    [
        ("{}", P, M, "it has neither filter nor consent"),
        ("'NEWS'", P, M, "it is not a table"),
        ('{ filters = "A" }', P, f"{M}.filters", 'nearest known key is "filter"'),
        ('{ filter = "A", consent = "B" }', P, M, "it has both filter and consent"),
        ("{ filter = 3 }", P, f"{M}.filter", "it is not text in quotes"),
        ('{ filter = "" }', P, f"{M}.filter", "it is empty"),
        (f'{{ filter = "{"x" * 51}" }}', P, f"{M}.filter", "it is longer than 50 characters"),
        ('{ filter = "A", email_type = "" }', P, f"{M}.email_type", "it is empty"),
        ('{ filter = "A", emailtype = "P" }', P, f"{M}.emailtype", 'known key is "email_type"'),
        ('{ consent = "A", locale = "en_US" }', P, f"{M}.version", "it is missing"),
        ('{ consent = "A", version = "1" }', P, f"{M}.locale", "it is missing"),
        ('{ consent = "A", version = 1.0, locale = "x" }', P, f"{M}.version", '1 to 50 characters'),
        (f'{{ consent = "{"x" * 101}", version = "1", locale = "x" }}', P, f"{M}.consent", "than 100"),
        (f'{{ consent = "x", version = "1", locale = "{"x" * 16}" }}', P, f"{M}.locale", "than 15"),
        ('{ consent = "A", version = "1", locale = "x", email_type = "P" }', P, f"{M}.email_type",
         "Only a filter has an e-mail type"),
        (A, '"email"', D, "Map it under [channels.email]"),
        (A, '"else"', D, "it is not a table"),
        (A, "{}", D, "it has neither preference nor frequencies"),
        (A, "{ preference = 1, frequencies = { A = 2 } }", D, "it has both preference and frequencies"),
        (A, "{ preference = 0 }", f"{D}.preference", "it is less than 1"),
        (A, "{ preference = 2147483648 }", f"{D}.preference", "it is more than 2147483647"),
        (A, "{ preference = true }", f"{D}.preference", "it is not a whole number"),
        (A, "{ preference = 1.0 }", f"{D}.preference", "it is not a whole number"),
        (A, '{ preference = "1" }', f"{D}.preference", "it is not a whole number"),
        (A, "{ frequencies = {} }", f"{D}.frequencies", "it is empty"),
        (A, '{ frequencies = { "" = 1 } }', f'{D}.frequencies.""', "has 1 to 20 characters"),
        (A, f"{{ frequencies = {{ {'x' * 21} = 1 }} }}", f"{D}.frequencies.{'x' * 21}", "1 to 20 characters"),
        (A, "{ frequencies = { X = -1 } }", f"{D}.frequencies.X", "it is less than 1"),
        (A, "{ frequencies = { X = 1, Y = 1 } }", f"{D}.frequencies.Y", '"X" and "Y" both map to'),
        (A, "{ frequencies = { X = 1, x = 2 } }", f"{D}.frequencies.x", "differ only in case"),
        (C, "{ frequencies = { X = 1 } }", f"{D}.frequencies",
         "a consent has no frequencies"),
    ],
)  # fmt: skip
def test_a_wrong_topic_is_reported_by_id_and_key(source: str, target: str, key: str, what: str) -> None:
    (found,) = problems(topic(source, target))
    line = 4 if key.startswith("mypreferences") else 5
    assert found.startswith(f'm.toml, line {line}, topic "a", key {key}: ')
    assert what in found


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("email", "is reserved for the e-mail channel"),
        ("EMail", "is reserved for the e-mail channel"),
        ("news", "is already used by an earlier topic"),
        ("NEWS", 'differs from an earlier topic\'s "news" only in case'),
        ("a b", "it contains characters that an id must not contain"),
        ("", "it contains characters that an id must not contain"),
        ("x" * 65, "it is longer than 64 characters"),
    ],
)
def test_an_id_is_plain_and_a_topics_own(name: str, what: str) -> None:
    (found,) = problems(NEWS + topic(A, P, name=name))
    assert f'topic "{name}", key id: ' in found
    assert what in found


@pytest.mark.parametrize(
    ("earlier", "source", "clash"),
    [
        ('{ filter = "A" }', '{ filter = "A" }', True),
        ('{ filter = "A" }', '{ filter = "a" }', True),
        ('{ filter = "A", email_type = "Home" }', '{ filter = "A" }', True),
        ('{ filter = "A", email_type = "Home" }', '{ filter = "A", email_type = "home" }', True),
        ('{ filter = "A", email_type = "Home" }', '{ filter = "A", email_type = "Work" }', False),
        (
            '{ consent = "A", version = "1", locale = "x" }',
            '{ consent = "a", version = "1", locale = "X" }',
            True,
        ),
        (
            '{ consent = "A", version = "1", locale = "x" }',
            '{ consent = "A", version = "2", locale = "x" }',
            False,
        ),
        ('{ consent = "A", version = "1", locale = "x" }', '{ filter = "A" }', False),
    ],
)
def test_a_filter_or_consent_speaks_for_one_topic(earlier: str, source: str, clash: bool) -> None:
    found = problems(topic(earlier, "{ preference = 1 }", name="first") + topic(source, P))
    assert [('already mapped by topic "first"' in one, "key mypreferences" in one) for one in found] == (
        [(True, True)] if clash else []
    )
    channel = f'[channels.email]\nmypreferences = {earlier}\ndotdigital = "email"\n'
    assert ["already mapped by [channels.email]" in one for one in problems(channel + topic(source, P))] == (
        [True] if clash else []
    )


def test_a_preference_is_written_by_one_topic() -> None:
    (plain,) = problems(NEWS + topic(A, "{ preference = 1 }"))
    assert 'topic "a", key dotdigital.preference: preference 1 is already mapped by topic "news"' in plain
    (spread,) = problems(NEWS + topic(A, "{ frequencies = { X = 5, Y = 1 } }"))
    assert "key dotdigital.frequencies.Y: preference 1 is already mapped by" in spread


@pytest.mark.parametrize("resubscribe", ["silent", "challenge"])
def test_a_resubscribed_contact_must_be_able_to_leave_again(resubscribe: str) -> None:
    back = f'{CHANNEL_TABLE}resubscribe = "{resubscribe}"\n'
    assert problems(back + NEWS) == []
    (one_way,) = problems(f'{back}direction = "to_dotdigital"\n{NEWS}')
    assert "whose next unsubscribe is not sent to MyPreferences" in one_way
    (by_default,) = problems(f'[defaults]\ndirection = "to_dotdigital"\n{back}{NEWS}')
    assert "whose next unsubscribe is not sent to MyPreferences" in by_default
    (idle,) = problems(f'{back}direction = "to_mypreferences"\n{NEWS}')
    assert "no contact would ever be resubscribed" in idle
    assert problems(f'{CHANNEL_TABLE}direction = "to_dotdigital"\n{NEWS}') == []


def test_an_unsubscribe_that_withdraws_every_topic_must_reach_every_topic() -> None:
    every = f'{CHANNEL_TABLE}on_unsubscribe = "all_topics"\n'
    (found,) = problems(every + topic(A, P, 'direction = "to_dotdigital"'))
    assert 'topic "a", key direction: on_unsubscribe = "all_topics"' in found
    assert problems(every + topic(A, P, 'direction = "to_mypreferences"')) == []


@pytest.mark.parametrize("key", ["resubscribe", "on_unsubscribe"])
def test_what_belongs_to_the_channel_is_sent_there(key: str) -> None:
    (found,) = problems(topic(A, P, f'{key} = "hold"'))
    assert "It belongs under [channels.email]." in found


def test_the_channel_is_mapped_to_the_channel() -> None:
    (found,) = problems(CHANNEL_TABLE.replace('"email"', "{ preference = 3 }") + NEWS)
    assert "key channels.email.dotdigital: it is not 'email'. Write dotdigital = \"email\"." in found


def test_all_problems_come_at_once_in_order_of_the_file() -> None:
    wrong = topic('{ filter = "news" }', "{ preference = 1, more = 2 }", 'conflict = "x"', name="email")
    found = problems("[defaults]\nconflict = 3\n" + NEWS + wrong + topic("{}", "{}", name="b c"))
    assert ["key " + one.partition("key ")[2].partition(":")[0] for one in found] == [
        "key defaults.conflict",
        "key id",
        "key mypreferences",
        "key dotdigital.more",
        "key dotdigital.preference",
        "key conflict",
        "key id",
        "key mypreferences",
        "key dotdigital",
    ]  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        read_mapping("version = 1\n[defaults]\nconflict = 3\n" + NEWS + wrong, "m.toml")
    assert len(caught.value.problems) == 6
    assert caught.value.exit_code == 2


def test_tables_of_their_own_and_strings_over_lines_keep_the_place_right() -> None:
    text = '''# [[topics]]
[[topics]]
id = "one"
mypreferences.filter = "A"
[topics.dotdigital]
preference = 1
[[topics]] # the second
id = """
[[topics]]"""
[topics.mypreferences]
filter = 3
[topics.dotdigital.frequencies]
X = 0
'''
    assert [one.partition(": ")[0] for one in problems(text)] == [
        'm.toml, line 9, topic "[[topics]]", key id',
        'm.toml, line 12, topic "[[topics]]", key mypreferences.filter',
        'm.toml, line 14, topic "[[topics]]", key dotdigital.frequencies.X',
    ]


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file or directory\.\n.*mapping scaffold"):
        load_mapping(tmp_path / "gone.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_mapping(path)


def test_the_digest_is_of_the_meaning() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    digest = load_mapping(EXAMPLE).digest
    assert len(digest) == 12
    assert int(digest, 16) >= 0
    bare = "\n".join(line for line in text.splitlines() if line and not line.startswith("#"))
    assert read_mapping(bare, "m.toml").digest == digest
    spelled = bare.replace("preference = 1002 }\n", 'preference = 1002 }\ndirection = "both"\n')
    assert spelled != bare
    assert read_mapping(spelled, "m.toml").digest == digest
    head, *blocks = bare.split("[[topics]]")
    assert read_mapping("\n[[topics]]".join([head, *reversed(blocks)]), "m.toml").digest == digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1002", "1003333"),
        ('conflict = "hold"', 'conflict = "latest"'),
        ('"Primary"', '"Other"'),
        ("DAILY", "HOURLY"),
        ('resubscribe = "hold"', 'resubscribe = "silent"'),
        ('on_unsubscribe = "channel"', 'on_unsubscribe = "all_topics"'),
        ('id = "offers"', 'id = "deals"'),
        ('direction = "both"', 'direction = "to_dotdigital"'),
        ('id = "offers"', 'id = "offers"\nconsent_record = { text = "T", url = "U", ip = "I", agent = "B" }'),
    ],
)
def test_every_change_of_meaning_changes_the_digest(old: str, new: str) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert old in text
    assert read_mapping(text.replace(old, new), "m.toml").digest != load_mapping(EXAMPLE).digest


def test_the_schema_for_editors_is_the_one_of_the_program() -> None:
    """Fix by `bridge mapping schema > mappings/schema.json`."""
    kept = json.loads((ROOT / "mappings" / "schema.json").read_text(encoding="utf-8"))
    assert kept == schema()
    assert EXAMPLE.read_text(encoding="utf-8").startswith("#:schema ./schema.json\n")


def test_the_schema_accepts_what_the_program_accepts() -> None:
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())
    document = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert list(validator.iter_errors(document)) == []
    for table in (
        {"filter": "A", "consent": "B"},
        {"consent": "B"},
        {},
        {"filter": "A", "x": 1},
        {"filter": ""},
    ):
        document["topics"][0]["mypreferences"] = table
        assert list(validator.iter_errors(document)) != []


LINES = EXAMPLE.read_text(encoding="utf-8").splitlines()


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_a_mangled_file_is_reported_and_never_breaks_the_reader(seed: int, edits: int) -> None:
    draw = random.Random(seed)
    lines = [line for line in LINES if line and not line.startswith("#")]
    for _ in range(edits):
        at = draw.randrange(len(lines))
        words = lines[at].split(" ")
        words[draw.randrange(len(words))] = draw.choice(
            ["1", '"x"', "{}", "[]", "true", "=", "[[topics]]", "a.b = 1", ""]
        )
        lines[at] = " ".join(words)
        if draw.random() < 0.3:
            lines.insert(draw.randrange(len(lines)), draw.choice(lines))
    text = "\n".join(lines)
    found = check_mapping_text(text, "m.toml")
    if not found:
        assert read_mapping(text, "m.toml").digest
    assert all(one.place and one.what and one.hint for one in found)


@pytest.mark.parametrize(
    ("table", "key", "near"),
    [
        ('mypreferences = { filtr = "NEWS_EMAIL" }\ndotdigital = { preference = 7 }', "filtr", "filter"),
        (
            'mypreferences = { consnt = "A", version = "1" }\ndotdigital = { preference = 7 }',
            "consnt",
            "consent",
        ),
        ('mypreferences = { filter = "A" }\ndotdigital = { preferense = 7 }', "preferense", "preference"),
    ],
)
def test_a_misspelt_key_of_a_topic_is_reported_with_the_nearest(table: str, key: str, near: str) -> None:
    (found,) = problems(f'[[topics]]\nid = "news"\n{table}')
    assert f'the key "{key}" is unknown' in found
    assert f'"{near}"' in found
    assert "line " in found
