"""The form of a mapping file: its tables, their keys, and what each may hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from bridge.core.mapping import Conflict, Direction, OnDeletion, OnUnsubscribe
from bridge.core.model import Resubscribe

MAX_PREFERENCE = 2**31 - 1


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


# Lengths: MyPreferences help pages, CreateProfilePreference and CreateCustomerConsent.
class FilterSource(_Table):
    """A MyPreferences filter, on e-mail elements of one type, or of any."""

    filter: str = Field(min_length=1, max_length=50, description="FilterId, written as MyPreferences has it")
    email_type: str | None = Field(
        default=None, min_length=1, max_length=100, description="EmailAddressType; left out: any"
    )


class ConsentSource(_Table):
    """A MyPreferences consent of one version and locale."""

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
    """A preference for each frequency of a filter: one opted in is that frequency, none is opted out."""

    frequencies: dict[FrequencyId, PreferenceId] = Field(min_length=1)


def _kind(*names: str) -> Any:
    """Tell two kinds of table apart by the one key that only one of them has."""

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
    """The preference attributes by which MyPreferences holds how somebody consented. With an opt-in all of it
    is sent to Dotdigital as a consent record; where one is missing for a person, none of it is."""

    text: AttributeKey
    url: AttributeKey
    ip: AttributeKey
    agent: AttributeKey


# TOML has strings only where the core has enumerations, so these fields are read leniently.
def _word(default: Any, what: str) -> Any:
    return Field(default=default, strict=False, description=what)


class Defaults(_Table):
    """What holds for every topic that does not say otherwise."""

    conflict: Conflict = _word(Conflict.WITHDRAWAL_WINS, "who is heard when both sides changed to opposites")
    direction: Direction = _word(Direction.BOTH, "where writes may go")
    on_deletion: OnDeletion = _word(
        OnDeletion.UNLINK, "what becomes of somebody at one side who was deleted at the other"
    )


class Channel(_Table):
    """The e-mail channel as a whole: may this person be mailed at all?"""

    mypreferences: Source
    dotdigital: Literal["email"]
    resubscribe: Resubscribe = _word(
        Resubscribe.HOLD, "what an opt-in may do for somebody unsubscribed at Dotdigital"
    )
    on_unsubscribe: OnUnsubscribe = _word(
        OnUnsubscribe.CHANNEL, "whether an unsubscribe at Dotdigital also withdraws every topic"
    )
    conflict: Conflict | None = _word(None, "instead of the default")
    direction: Direction | None = _word(None, "instead of the default")


class Channels(_Table):
    """The channels: e-mail is the only one."""

    email: Channel | None = None


class TopicTable(_Table):
    """One topic: a MyPreferences filter or consent, and a Dotdigital marketing preference."""

    id: str = Field(
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="letters, digits, _ . - ; shown wherever the topic is",
    )
    mypreferences: Source
    dotdigital: Target
    consent_record: RecordTable | None = Field(
        default=None, description="what is sent to Dotdigital as a consent record; left out: nothing"
    )
    conflict: Conflict | None = _word(None, "instead of the default")
    direction: Direction | None = _word(None, "instead of the default")


def _whole(value: object) -> object:
    """True and 1.0 equal 1 in Python, and are not the version of a format."""
    if type(value) is not int:
        raise ValueError("not a whole number")
    return value


class MappingFile(_Table):
    """Which MyPreferences filter or consent speaks of which Dotdigital preference."""

    version: Annotated[Literal[1], BeforeValidator(_whole)] = Field(description="version of this format")
    draft: bool = Field(
        default=False, description="true: nobody has read it yet; runs refuse to write by it, plans do not"
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
    """The keys of the table at `parent`, as the parser names it."""
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
