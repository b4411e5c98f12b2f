"""Every setting: typed and validated. Secrets are never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import PydanticBaseSettingsSource as Source

from bridge.core.brakes import BrakeLimits
from bridge.core.errors import ConfigError
from bridge.core.model import mask
from bridge.net import is_loopback, validate_base_url
from bridge.settings.sources import DEFAULT, PREFIX, READING, env_name
from bridge.settings.values import (
    MIN_SECRET_LENGTH,
    Network,
    check_database_url,
    check_guid,
    check_header,
    check_header_name,
    check_host_names,
    check_log_level,
    check_networks,
    check_number,
    check_secret_length,
    check_segment,
    check_time_of_day,
    read_names,
    read_networks,
)

MASKED = "••••"

Text = Annotated[str, Field(min_length=1)]
Url = Annotated[str, AfterValidator(validate_base_url)]
Whole = Annotated[int, BeforeValidator(check_number)]
Real = Annotated[float, BeforeValidator(check_number), Field(allow_inf_nan=False)]
Secret = Annotated[SecretStr, AfterValidator(check_secret_length)]
Share = Annotated[Real, Field(ge=0, le=1)]


def _setting(default: Any, what: str, example: object, **bounds: Any) -> Any:
    return Field(default=default, description=what, examples=[example], **bounds)


class AuthScheme(StrEnum):
    """How to sign in to MyPreferences."""

    OAUTH = "oauth"
    CERTIFICATE = "certificate"
    PNAUTHINFO3 = "pnauthinfo3"


class PatchEnvelope(StrEnum):
    """How the operations of a MyPreferences patch are sent: as an array, or in an object under Operations."""

    ARRAY = "array"
    OBJECT = "object"


class LogLevel(StrEnum):
    """From which level on the daemon logs."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class V3(StrEnum):
    """Whether to use Dotdigital's v3 contacts API."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class MyPreferences(_Group):
    """Access to MyPreferences."""

    base_url: Url | None = _setting(
        None, "the URL of the v4 API", "https://pmstg.mypreferences.com/Profiles/v4"
    )
    account: Text | None = _setting(None, "the account's clientId, the first segment of every path", "ACME")
    user_id: Text | None = _setting(None, "the bridge's own API user", "consent-bridge", repr=False)
    source_group: Text | None = _setting(None, "the source group of that user", "SYNC")
    auth: AuthScheme = _setting(AuthScheme.OAUTH, "oauth, certificate or pnauthinfo3", "oauth")
    token_url: Url | None = _setting(None, "the URL of the OAuth token endpoint", "https://…/oauth/token")
    client_id: Text | None = _setting(None, "the OAuth client id", "…")
    client_secret: SecretStr | None = _setting(None, "the OAuth client secret", "…")
    client_credentials: Literal["basic", "body"] = _setting(
        "basic", "basic or body: where the token request carries id and secret", "basic"
    )
    certificate_file: Path | None = _setting(None, "a PEM file with the client certificate", "client.pem")
    certificate_key_file: Path | None = _setting(
        None, "a PEM file with the key, unless the certificate file contains it", "client.key"
    )
    private_key: SecretStr | None = _setting(None, "the PNAUTHINFO3 private key", "…")
    hash: Literal["sha256", "sha384", "sha512"] = _setting("sha256", "sha256, sha384 or sha512", "sha256")
    keyed: bool = _setting(True, "true for the keyed (HMAC) form of PNAUTHINFO3, else false", "true")
    segment: Text | None = _setting(None, "a segment that contains everybody", "EVERYBODY")
    segment_group: Text | None = _setting(None, "a segment group that contains everybody", "EVERYBODY")
    imports_per_day: Whole = _setting(24, "bulk imports per 24 hours, 0 (none) to 1000", 24, ge=0, le=1000)
    routes_file: Path | None = _setting(None, "a TOML file with route overrides", "routes.toml")
    patch_envelope: PatchEnvelope = _setting(
        PatchEnvelope.ARRAY, "how patches are sent: array (as the samples show) or object", "object"
    )
    alternate_id_type: Text | None = _setting(None, "an alternate-id type", "CRM_ID")
    subscription: Whole | None = _setting(None, "the id of a webhook subscription", 17, ge=1)
    rate: Real = _setting(5.0, "requests per second, more than 0 and at most 1000", 5, gt=0, le=1000)

    @field_validator("segment_group")
    @classmethod
    def _instead_of_a_segment(cls, group: str | None, info: ValidationInfo) -> str | None:
        if group is not None and info.data.get("segment") is not None:
            raise ValueError("cannot be combined with a segment: set only one of the two")
        return group


class Dotdigital(_Group):
    """Access to Dotdigital."""

    base_url: Url | None = _setting(None, "the account's region host", "https://r1-api.dotdigital.com")
    username: Text | None = _setting(None, "the API user's name", "apiuser-…", repr=False)
    password: SecretStr | None = _setting(None, "the API user's password", "…")
    integration_token: Annotated[SecretStr, AfterValidator(check_guid)] | None = _setting(
        None, "the tracking token of a verified integration, a GUID", "…"
    )
    v3: V3 = _setting(V3.AUTO, "auto, never or always", "auto")
    events: bool = _setting(False, "true to read the events export (faster detection), else false", "false")
    events_name: Annotated[str, Field(min_length=1, max_length=50)] = _setting(
        "consent-bridge", "the name of this bridge's subscription, 1 to 50 characters", "consent-bridge"
    )
    profile_identifier: Annotated[str, Field(pattern=r"^[-A-Za-z0-9_]{1,50}$")] | None = _setting(
        None, "the name of the custom identifier that holds the ProfileId", "mypreferences-id"
    )
    challenge_days: Whole = _setting(14, "days to wait for an email confirmation, 1 to 365", 14, ge=1, le=365)
    share_left: Real = _setting(
        0.2, "the share of the account's calls reserved for other integrations, 0 to 0.9", 0.2, ge=0, le=0.9
    )


class BrakeSettings(_Group):
    """Limits on the changes within a window of time."""

    raises_max: Whole | None = _setting(None, "a number of people, 0 or more", 1000, ge=0)
    raises_share: Share = _setting(0.05, "a share of all people, 0 to 1", 0.05)
    raises_ceiling: Whole = _setting(100_000, "a number of people, 0 or more", 100_000, ge=0)
    window_hours: Whole = _setting(24, "whole hours, 1 to 720", 24, ge=1, le=720)
    withdrawals_max: Whole = _setting(5000, "a number of people, 0 or more", 5000, ge=0)
    withdrawals_share: Share = _setting(0.20, "a share of all people, 0 to 1", 0.2)
    hold_withdrawals: bool = _setting(False, "true to hold a mass opt-out, false to deliver it", "false")
    burst_max: Whole | None = _setting(
        None, "unsubscribes or opt-ins within one minute, 1 or more", 1000, ge=1
    )

    vanished_max: Whole | None = _setting(None, "a number of people or definitions, 0 or more", 100, ge=0)
    vanished_share: Share = _setting(0.05, "a share of those known at a side, 0 to 1", 0.05)

    def limits(self) -> BrakeLimits:
        """The limits as the core takes them."""
        given = self.model_dump(exclude={"window_hours"})
        return BrakeLimits(**given, window=timedelta(hours=self.window_hours))


class Web(_Group):
    """Health endpoints and the webhook receiver."""

    host: Text = _setting("127.0.0.1", "the address to listen on", "127.0.0.1")
    port: Whole = _setting(8080, "a port, 0 (any free one) to 65535", 8080, ge=0, le=65535)
    token: Annotated[SecretStr, AfterValidator(check_header), AfterValidator(check_secret_length)] | None = (
        Field(
            default=None,
            description=f"a random word of at least {MIN_SECRET_LENGTH} characters",
            examples=["…"],
            validate_default=True,
        )
    )
    allowed_hosts: Annotated[str, AfterValidator(check_host_names)] | None = _setting(
        None, "host names, separated by commas", "bridge.example.com"
    )
    hook_secret: (
        Annotated[SecretStr, AfterValidator(check_segment), AfterValidator(check_secret_length)] | None
    ) = _setting(None, f"a random word of at least {MIN_SECRET_LENGTH} letters, digits, - . _ ~", "…")
    hook_handshake: Literal["echo", "static"] = _setting(
        "echo", "echo or static: how a validation request is answered", "echo"
    )
    hook_answer: Text | None = Field(
        default=None, description="the agreed answer", examples=['{"ok": true}'], validate_default=True
    )
    hook_signature_key: Secret | None = _setting(
        None, f"the key that signs deliveries, of at least {MIN_SECRET_LENGTH} characters", "…"
    )
    hook_signature_header: Annotated[str, AfterValidator(check_header_name)] = _setting(
        "X-Signature", "a header name", "X-Signature"
    )
    hook_signature_hash: Literal["sha256", "sha384", "sha512"] = _setting(
        "sha256", "sha256, sha384 or sha512", "sha256"
    )
    hook_allow: Annotated[str, AfterValidator(check_networks)] | None = _setting(
        None, "addresses or networks, separated by commas", "192.0.2.0/24, 2001:db8::/32"
    )
    hook_address_header: Annotated[str, AfterValidator(check_header_name)] | None = _setting(
        None, "the header in which your own proxy names the caller", "X-Forwarded-For"
    )
    hook_proxies: Annotated[str, AfterValidator(check_networks)] = _setting(
        "127.0.0.0/8, ::1", "addresses or networks of your own proxies, separated by commas", "192.0.2.7"
    )
    hook_rate: Real = _setting(500.0, "deliveries per second, 1 to 100000", 500, ge=1, le=100_000)
    hook_depth: Whole = _setting(10_000, "queued events, 1 to 1000000", 10000, ge=1, le=1_000_000)
    hook_pause: Real = _setting(5.0, "seconds, 0 to 3600", 5, ge=0, le=3600)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks webhooks may come from; empty: any."""
        return read_networks(self.hook_allow or "")

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The proxies whose word on the caller's address counts."""
        return read_networks(self.hook_proxies)

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """The host names under which requests are answered; None: the local ones."""
        return None if self.allowed_hosts is None else read_names(self.allowed_hosts)

    @field_validator("hook_answer")
    @classmethod
    def _require_static_answer(cls, answer: str | None, info: ValidationInfo) -> str | None:
        if answer is None and info.data.get("hook_handshake") == "static":
            raise ValueError("is required where BRIDGE_WEB__HOOK_HANDSHAKE is static")
        return answer

    @field_validator("token")
    @classmethod
    def _require_token(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        host = info.data.get("host")
        if token is None and host is not None and not is_loopback(host):
            raise ValueError("is required where BRIDGE_WEB__HOST is not a loopback address")
        return token


class Settings(BaseSettings):
    """All settings. Values come from `load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, env_prefix=PREFIX, env_nested_delimiter="__"
    )

    database_url: Annotated[str, AfterValidator(check_database_url)] = _setting(
        "sqlite:///bridge.db", "an SQLAlchemy URL", "sqlite:///bridge.db", repr=False
    )
    mapping: Path = _setting(Path("mappings/bridge.toml"), "the mapping file", "mappings/bridge.toml")
    secrets_dir: Path | None = _setting(None, "a folder with one file per secret", "/run/secrets")
    poll_seconds: Whole = _setting(60, "whole seconds, 1 to 86400", 60, ge=1, le=86400)
    overlap_seconds: Whole = _setting(900, "whole seconds, 0 to 604800", 900, ge=0, le=604800)
    skew_seconds: Real = _setting(2.0, "seconds, 0 to 3600", 2, ge=0, le=3600)
    sweep_at: Annotated[time, BeforeValidator(check_time_of_day)] = _setting(
        time(3, 0, tzinfo=UTC), "a time of day in UTC, HH:MM", "03:00"
    )
    retention_days: Whole = _setting(90, "days to keep records of runs, 1 to 3650", 90, ge=1, le=3650)
    log_level: Annotated[LogLevel, BeforeValidator(check_log_level)] = _setting(
        LogLevel.INFO, "debug, info, warning or error", "info"
    )
    erasure_key: Secret | None = _setting(
        None, f"a random word of at least {MIN_SECRET_LENGTH} characters", "…"
    )
    ledger_head_file: Path | None = _setting(
        None, "a file outside of the state DB's folder", "/var/lib/bridge-head/head.json"
    )
    mypreferences: MyPreferences = MyPreferences()
    dotdigital: Dotdigital = Dotdigital()
    brakes: BrakeSettings = BrakeSettings()
    web: Web = Web()

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: Source,
        env_settings: Source,  # noqa: ARG003 (it reads the process's environment only)
        dotenv_settings: Source,  # noqa: ARG003
        file_secret_settings: Source,
    ) -> tuple[Source, ...]:
        """The sources of the current `load`; outside of one, only the given values."""
        if (reading := READING.get()) is None:
            return (init_settings,)
        return reading.sources(settings_cls, init_settings, file_secret_settings)

    def display_rows(self) -> list[tuple[str, str, str]]:
        """Each setting as (environment name, value, source) for display, with secrets and addresses
        masked."""
        return [
            (env_name(key), _display(key, self._value(key)), self._origins.get(key, DEFAULT))
            for key in FIELDS
        ]

    def require_mypreferences(self) -> None:
        """Raises ConfigError naming every setting that is missing to call MyPreferences."""
        needed = ["base_url", "account", "user_id"]
        match self.mypreferences.auth:
            case AuthScheme.OAUTH:
                needed += ["token_url", "client_id", "client_secret"]
            case AuthScheme.CERTIFICATE:
                needed += ["token_url", "client_id", "certificate_file"]
            case AuthScheme.PNAUTHINFO3:
                needed += ["private_key"]
        files = ("certificate_file", "certificate_key_file", "routes_file")
        self._require("MyPreferences", [f"mypreferences__{name}" for name in needed])
        self._require_files([f"mypreferences__{name}" for name in files])

    def require_dotdigital(self) -> None:
        """Raises ConfigError naming every setting that is missing to call Dotdigital."""
        self._require("Dotdigital", ["dotdigital__username", "dotdigital__password"])

    def _require(self, side: str, keys: list[str]) -> None:
        missing = [f"{env_name(key)}: {hint(key)}" for key in keys if self._value(key) is None]
        if missing:
            raise ConfigError(
                f"{side} cannot be called: settings are missing.",
                problems=tuple(missing),
                hint="Set them in the environment, as files in BRIDGE_SECRETS_DIR, or in the --config file.",
            )

    def _require_files(self, keys: list[str]) -> None:
        gone = [key for key in keys if isinstance(path := self._value(key), Path) and not path.is_file()]
        if gone:
            raise ConfigError(
                "Files named in the settings do not exist.",
                problems=tuple(f"{env_name(key)}: {self._value(key)} is not a file" for key in gone),
                hint="Paths in a config file are relative to its folder, all others to the folder in which "
                "the command is started.",
            )

    def _value(self, key: str) -> object:
        group, _, name = key.rpartition("__")
        return getattr(getattr(self, group) if group else self, name)


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    for name, info in Settings.model_fields.items():
        group = info.annotation
        if isinstance(group, type) and issubclass(group, _Group):
            yield from ((f"{name}__{inner}", field) for inner, field in group.model_fields.items())
        else:
            yield name, info


FIELDS: Mapping[str, FieldInfo] = dict(_fields())


def hint(key: str) -> str:
    """What a valid value is, with an example where it helps."""
    info = FIELDS[key]
    example = (info.examples or ["…"])[0]
    what = info.description or "a value"
    return what if example == "…" else f"{what}, e.g. {example}"


def _display(key: str, value: object) -> str:
    match value:
        case None:
            return "unset"
        case SecretStr():
            return MASKED
        case bool():
            return str(value).lower()
        case time():
            return value.strftime("%H:%M")
    text = str(value)
    if key == "database_url":
        text = re.sub(r"://([^:/@]*):[^/]*@", rf"://\1:{MASKED}@", text)
        return re.sub(r"(password=)[^&]*", rf"\1{MASKED}", text)
    return mask(text) if "@" in text else text
