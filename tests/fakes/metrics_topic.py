"""The metrics topic in memory, for what publishes to it."""

from agent.services.publisher import NotPublishedError
from schemas.metrics import Alert, Samples


class MetricsTopicFake:
    """Keeps what it gets; refuses all while `down`."""

    def __init__(self) -> None:
        self.messages: list[Samples | Alert] = []
        self.identities: list[str] = []
        self.down = False

    async def publish(self, message: Samples | Alert, identity: str) -> None:
        if self.down:
            raise NotPublishedError("the control Kafka at broker:9092 did not take it")
        self.messages.append(message)
        self.identities.append(identity)

    @property
    def alerts(self) -> list[Alert]:
        return [m for m in self.messages if isinstance(m, Alert)]

    @property
    def samples(self) -> list[Samples]:
        return [m for m in self.messages if isinstance(m, Samples)]
