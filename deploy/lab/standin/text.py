"""What Cruise Control writes without json=true, and the schema that it puts in a header."""

import json
from typing import Any

_LOAD_HEADER = (
    "\n\n     HOST         BROKER      RACK         DISK_CAP(MB)            DISK(MB)/_(%)_     "
    "       CORE_NUM"
    "         CPU(%)          NW_IN_CAP(KB/s)"
    "       LEADER_NW_IN(KB/s)     FOLLOWER_NW_IN(KB/s)         NW_OUT_CAP(KB/s)"
    "        NW_OUT(KB/s)       PNW_OUT(KB/s)    LEADERS/REPLICAS\n"
)


def plain(endpoint: str, body: Any) -> str:
    """`load` is the recorded table. The other tables are not imitated."""
    if endpoint == "load":
        return _LOAD_HEADER + "".join(_load_row(row) for row in body["brokers"]) + "\n"
    if isinstance(body, dict) and "message" in body:
        return str(body["message"])
    return json.dumps(body, indent=1)


def _load_row(row: dict[str, Any]) -> str:
    return (
        f"{row['Host']},{row['Broker']:>14},{row['Rack']:>9},{row['DiskCapacityMB']:>21.3f},"
        f"{row['DiskMB']:>21.3f}/{row['DiskPct']:05.2f},{row['NumCore']:>19.0f},{row['CpuPct']:>14.3f},"
        f"{row['NetworkInCapacity']:>24.3f},{row['LeaderNwInRate']:>24.3f},{row['FollowerNwInRate']:>24.3f},"
        f"{row['NetworkOutCapacity']:>24.3f},{row['NwOutRate']:>19.3f},{row['PnwOutRate']:>19.3f},"
        f"{row['Leaders']:>14}/{row['Replicas']}\n"
    )


def schema(value: Any) -> str:
    """The header for `get_response_schema=true`, which has the shape of this very answer."""
    if isinstance(value, dict):
        properties = ",".join(f'"{key}": {schema(item)}' for key, item in value.items())
        return f'{{ "type": "object", "properties": {{{properties}}}}}'
    if isinstance(value, list):
        return (
            f'{{ "type": "array", "items": [{schema(value[0])}]}}'
            if value
            else '{ "type": "array"}'
        )
    if isinstance(value, bool):
        return '{ "type": "boolean" }'
    return '{ "type": "number" }' if isinstance(value, int | float) else '{ "type": "string" }'
