"""Creates Kafka ACLs from the table of rights, with blocking calls.

Called by `kafka-migration acls --apply` and the secure lab.
"""

import re
from collections.abc import Iterable, Mapping

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import KafkaError

from agent.rights import Grant


def create(
    admin: KafkaAdminClient,
    roles: Mapping[str, Iterable[Grant]],
    principals: Mapping[str, Iterable[str]],
) -> int:
    """Create the ACLs of each role for the principals of that role; existing ACLs stay.

    Returns the number of entries. Raises KafkaError, also when one entry is refused.
    """
    entries = [
        ACL(
            principal=principal,
            host="*",
            operation=ACLOperation[_upper(operation)],
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(
                ResourceType[grant.resource.name],
                grant.name,
                ACLResourcePatternType.PREFIXED
                if grant.prefixed
                else ACLResourcePatternType.LITERAL,
            ),
        )
        for role, grants in roles.items()
        for principal in principals.get(role, ())
        for grant in grants
        for operation in grant.operations
    ]
    if entries:
        failed = admin.create_acls(entries).get("failed") or []
        if failed:
            raise KafkaError(
                f"{len(failed)} of {len(entries)} ACLs were refused, the first: {failed[0]}"
            )
    return len(entries)


def _upper(operation: str) -> str:
    """DescribeConfigs -> DESCRIBE_CONFIGS."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()
