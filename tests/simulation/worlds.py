"""The mapping that simulated worlds of tests take their topics from."""

from __future__ import annotations

from bridge.core.mapping import (
    Conflict,
    ConsentRef,
    FilterRef,
    Mapping,
    OnUnsubscribe,
    Topic,
)
from bridge.core.model import CHANNEL, TopicId
from bridge.core.writes import Resubscribe

MAPPING = Mapping(
    topics=(
        Topic(TopicId("newsletter"), FilterRef("NEWS_EMAIL"), {"": 1002}),
        Topic(TopicId("events"), FilterRef("EVENTS_EMAIL"), {"": 1005}, conflict=Conflict.LATEST),
        Topic(TopicId("offers"), FilterRef("OFFERS_EMAIL"), {"DAILY": 1003, "WEEKLY": 1004}),
    ),
    channel=Topic(CHANNEL, ConsentRef("EmailMarketing", "1.0", "en_US"), {}, resubscribe=Resubscribe.SILENT),
    on_unsubscribe=OnUnsubscribe.CHANNEL,
    digest="test",
)
