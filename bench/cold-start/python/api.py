"""Shared by both endpoints: authentication and responses."""

import base64
import binascii
import hashlib
import json
import os
import re
import secrets
import sys
import time
import traceback
from datetime import datetime, timezone

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

TABLE = os.environ["TABLE_NAME"]
TRUSTED_SECONDS = 5
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"

dynamodb = boto3.client("dynamodb")
serializer, deserializer = TypeSerializer(), TypeDeserializer()
seen = {}


class Refusal(Exception):
    def __init__(self, status, code, message, details=None):
        super().__init__(message)
        self.status, self.code, self.details = status, code, details or {}


def not_found():
    return Refusal(404, "not_found", "No such recording.")


def to_item(fields):
    return {name: serializer.serialize(value) for name, value in fields.items()}


def from_item(item):
    return {name: deserializer.deserialize(value) for name, value in item.items()}


def moment(seconds):
    text = datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").replace(".000Z", "Z")


def new_id(prefix):
    """ULID: 48 bits of time and 80 random bits."""
    bits = int(time.time() * 1000) << 80 | secrets.randbits(80)
    return prefix + "".join(DIGITS[bits >> shift & 31] for shift in range(125, -1, -5))


def credential(hash):
    known = seen.get(hash)
    if known and time.monotonic() < known[1] + TRUSTED_SECONDS:
        return known[0]
    found = dynamodb.get_item(TableName=TABLE, Key={"PK": {"S": f"KEY#{hash}"}, "SK": {"S": "KEY"}}).get("Item")
    if not found:
        raise Refusal(401, "unauthorized", "The credential is not known.")
    found = from_item(found)
    if len(seen) >= 1000:
        seen.clear()
    seen[hash] = (found, time.monotonic())
    return found


def caller(event):
    """Tenant of the caller. Fails if the caller may not upload."""
    scheme, _, text = event["headers"].get("authorization", "").partition(" ")
    if scheme != "Bearer" or not text:
        raise Refusal(401, "unauthorized", "Send a credential as a bearer token.")
    found = credential(hashlib.sha256(text.encode()).hexdigest())
    ended = "expires_at" in found and found["expires_at"] <= moment(time.time())
    if "revoked_at" in found or ended:
        raise Refusal(401, "unauthorized", "The credential has ended.")
    grant = found["grant"]
    if grant["kind"] != "secret" and "recordings:write" not in grant.get("scopes", ()):
        raise Refusal(403, "forbidden", "The credential may not upload.")
    return found["tenant"]


def recording_id(event):
    id = (event.get("pathParameters") or {}).get("id", "")
    if not re.fullmatch("rec_[0-9a-z]+", id):
        raise not_found()
    return id


def recording_key(id):
    return {"PK": {"S": f"REC#{id}"}, "SK": {"S": "REC"}}


def body(event):
    text = event.get("body")
    if not text:
        return {}
    try:
        return json.loads(base64.b64decode(text) if event.get("isBase64Encoded") else text)
    except (ValueError, binascii.Error) as error:
        raise Refusal(400, "invalid_request", f"The body is not JSON: {error}") from error


def update(tenant, **request):
    """Item after an update. A failed condition raises an error that depends on the state of the recording."""
    try:
        answer = dynamodb.update_item(
            TableName=TABLE, ReturnValues="ALL_NEW", ReturnValuesOnConditionCheckFailure="ALL_OLD", **request
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        old = from_item(error.response.get("Item", {}))
        if old.get("tenant") != tenant or "deleted_at" in old:
            raise not_found() from error
        status = {"status": old["status"]}
        if old["status"] != "pending":
            raise Refusal(400, "recording_not_pending", f"The recording is {old['status']}.", status) from error
        if "awaited" in old:
            missing = {"missing": sorted(old["awaited"])}
            raise Refusal(400, "media_not_uploaded", "Media are missing.", missing) from error
        raise Refusal(400, "upload_expired", "The recording's upload has ended.", status) from error
    return from_item(answer["Attributes"])


def answering(handler):
    """Handler that logs one line per request and responds to every failure."""

    def answer(event):
        began = time.perf_counter()
        request_id = event["requestContext"]["requestId"]
        try:
            status, result = 200, handler(event)
        except Refusal as refusal:
            status = refusal.status
            error = {"code": refusal.code, "message": str(refusal), "details": refusal.details}
            result = {"error": {**error, "request_id": request_id}}
        except Exception:
            status = 500
            result = {"error": {"code": "internal_error", "message": "Something went wrong.", "request_id": request_id}}
            line = {"level": "ERROR", "error": traceback.format_exc(), "request_id": request_id}
            print(json.dumps(line), file=sys.stderr)
        route, duration_ms = event["requestContext"]["routeKey"], (time.perf_counter() - began) * 1000
        line = {"level": "INFO", "message": "request", "route": route, "status": status, "duration_ms": duration_ms}
        print(json.dumps({**line, "request_id": request_id}), flush=True)
        headers = {"content-type": "application/json", "x-request-id": request_id}
        text = json.dumps(result, default=int)
        return {"statusCode": status, "headers": headers, "body": text, "isBase64Encoded": False}

    return answer
