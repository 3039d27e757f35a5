"""POST /v1/recordings/{id}/upload-url: one write, one presigned URL."""

import base64
import os
import re
import time

import boto3
from botocore.config import Config

from api import Refusal, answering, body, caller, moment, new_id, recording_id, recording_key, to_item, update
from runtime import serve

s3 = boto3.client("s3", config=Config(signature_version="s3v4", request_checksum_calculation="when_required"))
BUCKET = os.environ["MEDIA_BUCKET"]
URL_SECONDS = 3600
MAX_MEDIA = 100
MAX_BYTES = 5_368_709_120
EXTENSIONS = {
    "audio/opus": "opus",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/flac": "flac",
    "image/jpeg": "jpg",
    "image/png": "png",
    "video/mp4": "mp4",
}
DEFAULTS = {"audio": "audio/opus", "image": "image/jpeg", "video": "video/mp4"}


def declared(event):
    asked = body(event)
    content_type = asked.get("content_type", DEFAULTS.get(asked.get("type", "audio")))
    if content_type not in EXTENSIONS:
        raise Refusal(400, "file_type_invalid", "The type of file is not taken.")
    size, sha256 = asked.get("file_size_bytes"), asked.get("content_sha256")
    if size is not None and not (isinstance(size, int) and 1 <= size <= MAX_BYTES):
        raise Refusal(400, "file_size_invalid", f"file_size_bytes must be 1 to {MAX_BYTES}.")
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise Refusal(400, "invalid_request", "content_sha256 must be 64 hexadecimal digits.")
    return content_type, size, sha256, asked.get("captured_at")


def announce(tenant, id, content_type, size, sha256, captured_at, now):
    media = {
        "id": new_id("med_"),
        "content_type": content_type,
        "declared_size": size,
        "declared_sha256": sha256,
        "declared_captured_at": captured_at,
        "created_at": moment(now),
        "url_expires_at": moment(now + URL_SECONDS),
        "status": "pending",
        "late": False,
    }
    values = {
        ":media": {name: value for name, value in media.items() if value is not None},
        ":now": moment(now),
        ":tenant": tenant,
        ":pending": "pending",
        ":max": MAX_MEDIA,
        ":ids": {media["id"]},
    }
    recording = update(
        tenant,
        Key=recording_key(id),
        UpdateExpression="SET media.#id = :media, updated_at = :now ADD awaited :ids",
        ConditionExpression="tenant = :tenant AND attribute_not_exists(deleted_at) AND #status = :pending"
        " AND expires_at > :now AND size(media) < :max AND attribute_not_exists(media.#id)",
        ExpressionAttributeNames={"#id": media["id"], "#status": "status"},
        ExpressionAttributeValues=to_item(values),
    )
    return recording["media"][media["id"]]


@answering
def handle(event):
    tenant = caller(event)
    id = recording_id(event)
    content_type, size, sha256, captured_at = declared(event)
    media = announce(tenant, id, content_type, size, sha256, captured_at, time.time())
    kind = content_type.split("/")[0]
    key = f"{tenant.split('#')[0]}/{id}/{media['id']}/{kind}.{EXTENSIONS[content_type]}"
    put = {"Bucket": BUCKET, "Key": key, "ContentType": content_type}
    if size is not None:
        put["ContentLength"] = size
    if sha256 is not None:
        put["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
    return {
        "media_id": media["id"],
        "upload_url": s3.generate_presigned_url("put_object", put, ExpiresIn=URL_SECONDS),
        "method": "PUT",
        "headers": {"Content-Type": content_type},
        "content_type": content_type,
        "expires_at": media["url_expires_at"],
        "expires_in": URL_SECONDS,
    }


serve(handle)
