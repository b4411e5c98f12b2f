"""The format of a mapping file: its tables, their keys, and the values allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from bridge.core.mapping import Conflict, Direction, OnDeletion, OnUnsubscribe
from bridge.core.writes import Resubscribe

MAX_PREFERENCE = 2**31 - 1


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


# Maximum lengths: MyPreferences help pages, CreateProfilePreference and CreateCustomerConsent.
class FilterSource(_Table):
    """A MyPreferences filter, for e-mail elements of one type or of any type."""

    filter: str = Field(min_length=1, max_length=50, description="FilterId, as written in MyPreferences")
    email_type: str | None = Field(
        default=None, min_length=1, max_length=100, description="EmailAddressType; omitted: any"
    )


class ConsentSource(_Table):
    """A version and locale of a MyPreferences consent."""

    consent: str = Field(min_length=1, max_length=100, description="ConsentType")
    version: str = Field(min_length=1, max_length=50, description='ConsentVersion, in quotes: "1.0"')
    locale: str = Field(min_length=1, max_length=15, description='locale with an underscore: "en_US"')


PreferenceId = Annotated[int, Field(ge=1, le=MAX_PREFERENCE, description="id of a Dotdigital preference")]
AttributeKey = Annotated[str, Field(min_length=1, description="Key of a preference attribute")]
FrequencyId = Annotated[str, Field(min_length=1, max_length=20)]


class OnePreference(_Table):
    """One Dotdigital marketing preference."""

    preference: PreferenceId


class Frequencies(_Table):
    """One preference per frequency of a filter: one opted in is that frequency, none is opted out."""

    frequencies: dict[FrequencyId, PreferenceId] = Field(min_length=1)


def _kind(*names: str) -> Any:
    """Distinguish two kinds of table by the one key that only one of them has."""

    def tag(value: Any) -> str | None:
        if isinstance(value, dict):
            present = [name for name in names if name in value]
            return present[0] if len(present) == 1 else None
        return None

    return Discriminator(tag, custom_error_type="kind", custom_error_message=" or ".join(names))


Source = Annotated[
    Annotated[FilterSource, Tag("filter")] | Annotated[ConsentSource, Tag("consent")],
    _kind("filter", "consent"),
]
Target = Annotated[
    Annotated[OnePreference, Tag("preference")] | Annotated[Frequencies, Tag("frequencies")],
    _kind("preference", "frequencies"),
]


class RecordTable(_Table):
    """The preference attributes in which MyPreferences stores how a person consented. They are sent to
    Dotdigital as a consent record with each opt-in; if a person lacks one of them, none is sent."""

    text: AttributeKey
    url: AttributeKey
    ip: AttributeKey
    agent: AttributeKey


# The core has enumerations where TOML has strings, so these fields are not strict.
def _word(default: Any, what: str) -> Any:
    return Field(default=default, strict=False, description=what)


class Defaults(_Table):
    """Defaults for all topics."""

    conflict: Conflict = _word(
        Conflict.WITHDRAWAL_WINS, "which side wins if both changed to opposite choices"
    )
    direction: Direction = _word(Direction.BOTH, "the sides that may be written")
    on_deletion: OnDeletion = _word(
        OnDeletion.UNLINK, "what happens to a person on one side who was deleted on the other"
    )


class Channel(_Table):
    """The e-mail channel: may this person be mailed at all?"""

    mypreferences: Source
    dotdigital: Literal["email"]
    resubscribe: Resubscribe = _word(
        Resubscribe.HOLD, "what an opt-in may do for a contact unsubscribed at Dotdigital"
    )
    on_unsubscribe: OnUnsubscribe = _word(
        OnUnsubscribe.CHANNEL, "whether an unsubscribe at Dotdigital also withdraws every topic"
    )
    conflict: Conflict | None = _word(None, "overrides the default")
    direction: Direction | None = _word(None, "overrides the default")


class Channels(_Table):
    """The channels. E-mail is the only one."""

    email: Channel | None = None


class TopicTable(_Table):
    """One topic: a MyPreferences filter or consent, and a Dotdigital marketing preference."""

    id: str = Field(
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="letters, digits, _ . - ; the name of the topic in all output",
    )
    mypreferences: Source
    dotdigital: Target
    consent_record: RecordTable | None = Field(
        default=None, description="what is sent to Dotdigital as a consent record; omitted: nothing"
    )
    conflict: Conflict | None = _word(None, "overrides the default")
    direction: Direction | None = _word(None, "overrides the default")


def _whole(value: object) -> object:
    """Reject true and 1.0, which equal 1 in Python but are no format version."""
    if type(value) is not int:
        raise ValueError("not a whole number")
    return value


class MappingFile(_Table):
    """Which MyPreferences filter or consent maps to which Dotdigital preference."""

    version: Annotated[Literal[1], BeforeValidator(_whole)] = Field(description="version of this format")
    draft: bool = Field(
        default=False, description="true: not confirmed by a person yet; plans work, runs write nothing"
    )
    defaults: Defaults = Defaults()
    channels: Channels = Channels()
    topics: list[TopicTable] = Field(default_factory=list)


_KINDS: Mapping[str, type[BaseModel]] = {
    "filter": FilterSource,
    "consent": ConsentSource,
    "preference": OnePreference,
    "frequencies": Frequencies,
}


def known_keys(parent: tuple[int | str, ...]) -> Collection[str]:
    """The keys of the table at `parent`, under the parser's name for it."""
    match parent:
        case ():
            table: type[BaseModel] = MappingFile
        case ("defaults",):
            table = Defaults
        case ("channels",):
            table = Channels
        case ("channels", "email"):
            table = Channel
        case ("topics", int(), "consent_record"):
            table = RecordTable
        case (*_, "mypreferences" | "dotdigital", str(kind)):
            table = _KINDS[kind]
        case _:
            table = TopicTable
    return table.model_fields.keys()
