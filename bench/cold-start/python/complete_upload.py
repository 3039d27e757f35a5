"""POST /v1/recordings/{id}/upload-complete, if all files have arrived and the client sends no checksums: one write, one event."""

import json
import os
import time

import boto3

from api import DIGITS, Refusal, answering, body, caller, moment, recording_id, recording_key, to_item, update
from runtime import serve

eventbridge = boto3.client("events")
BUS = os.environ["EVENT_BUS_NAME"]
PICK_UP_SECONDS = 300
DUE_SHARDS = 8


def complete(tenant, id, event, now):
    due = moment(now + PICK_UP_SECONDS)
    completion = {"call": event["requestContext"]["requestId"]}
    if "idempotency-key" in event["headers"]:
        completion["idempotency_key"] = event["headers"]["idempotency-key"]
    values = {
        ":uploaded": "uploaded",
        ":pending": "pending",
        ":now": moment(now),
        ":completion": completion,
        ":due": due if "." in due else due.replace("Z", ".000Z"),
        ":shard": f"DUE#{DIGITS.index(id[-1]) % DUE_SHARDS}",
        ":tenant": tenant,
        ":none": 0,
    }
    return update(
        tenant,
        Key=recording_key(id),
        UpdateExpression="SET #status = :uploaded, uploaded_at = :now, updated_at = :now, completion = :completion,"
        " due_key = :shard, due_at = :due",
        ConditionExpression="tenant = :tenant AND attribute_not_exists(deleted_at) AND #status = :pending"
        " AND attribute_not_exists(awaited) AND size(media) > :none",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues=to_item(values),
    )


def tell(recording):
    project_id, mode = recording["tenant"].split("#")
    detail = json.dumps({"recording_id": recording["id"], "project_id": project_id, "mode": mode})
    entry = {"EventBusName": BUS, "Source": "capstan", "DetailType": "recording.uploaded", "Detail": detail}
    try:
        if eventbridge.put_events(Entries=[entry])["FailedEntryCount"]:
            raise RuntimeError("the bus did not take it")
    except Exception as error:
        # The recording stays due, and the sweep publishes the event again.
        print(json.dumps({"level": "WARN", "error": str(error), "recording_id": recording["id"]}))


def shown(recording):
    media = [
        {
            "id": media["id"],
            "type": media["content_type"].split("/")[0],
            "mime_type": media["content_type"],
            "file_size_bytes": media.get("stored", {}).get("size_bytes", media.get("declared_size")),
            "status": media["status"],
            "captured_at": media.get("declared_captured_at"),
            "created_at": media["created_at"],
            "renditions": [],
        }
        for _, media in sorted(recording["media"].items())
    ]
    primary = next((one for one in media if one["type"] == "audio"), media[0])
    same = ("device_id", "end_user_id", "name", "started_at", "ended_at", "source")
    return {
        "id": recording["id"],
        "project_id": recording["tenant"].split("#")[0],
        **{name: recording.get(name) for name in same},
        "recorded_at": recording.get("started_at"),
        "status": recording["status"],
        "duration_ms": None,
        "duration_seconds": None,
        "transcription_id": None,
        "media": media,
        "metadata": json.loads(recording.get("metadata", "{}")),
        "content_sha256": recording["media"][primary["id"]].get("stored", {}).get("sha256"),
        "content_sha256_verified_at": None,
        "file_size_bytes": primary["file_size_bytes"],
        "mime_type": primary["mime_type"],
        "error": None,
        "created_at": recording["created_at"],
        "updated_at": recording["updated_at"],
        "uploaded_at": recording["uploaded_at"],
        "deleted_at": None,
    }


@answering
def handle(event):
    tenant = caller(event)
    id = recording_id(event)
    claimed = list(body(event))
    if claimed:
        raise Refusal(501, "not_here", f"This one compares nothing: leave out {claimed}.")
    recording = complete(tenant, id, event, time.time())
    tell(recording)
    return shown(recording)


serve(handle)
