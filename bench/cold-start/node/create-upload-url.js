// POST /v1/recordings/{id}/upload-url: one write, one presigned URL.
import { UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { marshall, unmarshall } from "@aws-sdk/util-dynamodb";
import { Refusal, answering, body, caller, dynamodb, moment, newId, recordingId, recordingKey, refused, table } from "./http.js";
import { serve } from "./runtime.js";

const s3 = new S3Client({ requestChecksumCalculation: "WHEN_REQUIRED" });
const bucket = process.env.MEDIA_BUCKET;
const URL_SECONDS = 3600;
const MAX_MEDIA = 100;
const MAX_BYTES = 5_368_709_120;
const EXTENSIONS = {
  "audio/opus": "opus", "audio/ogg": "ogg", "audio/wav": "wav", "audio/mpeg": "mp3", "audio/mp4": "m4a",
  "audio/flac": "flac", "image/jpeg": "jpg", "image/png": "png", "video/mp4": "mp4",
};
const DEFAULTS = { audio: "audio/opus", image: "image/jpeg", video: "video/mp4" };

function declared(event) {
  const { type = "audio", content_type = DEFAULTS[type], file_size_bytes, content_sha256, captured_at } = body(event);
  if (!EXTENSIONS[content_type]) throw new Refusal(400, "file_type_invalid", "The type of file is not taken.");
  const size = file_size_bytes;
  if (size !== undefined && !(Number.isInteger(size) && size >= 1 && size <= MAX_BYTES)) {
    throw new Refusal(400, "file_size_invalid", `file_size_bytes must be 1 to ${MAX_BYTES}.`);
  }
  if (content_sha256 !== undefined && !/^[0-9a-fA-F]{64}$/.test(content_sha256)) {
    throw new Refusal(400, "invalid_request", "content_sha256 must be 64 hexadecimal digits.");
  }
  return { content_type, size, sha256: content_sha256, captured_at };
}

async function announce(tenant, id, file, now) {
  const media = {
    id: newId("med_"), content_type: file.content_type, declared_size: file.size, declared_sha256: file.sha256,
    declared_captured_at: file.captured_at, created_at: moment(now), status: "pending", late: false,
    url_expires_at: moment(now + URL_SECONDS * 1000),
  };
  const update = new UpdateItemCommand({
    TableName: table,
    Key: recordingKey(id),
    UpdateExpression: "SET media.#id = :media, updated_at = :now ADD awaited :ids",
    ConditionExpression:
      "tenant = :tenant AND attribute_not_exists(deleted_at) AND #status = :pending AND expires_at > :now" +
      " AND size(media) < :max AND attribute_not_exists(media.#id)",
    ExpressionAttributeNames: { "#id": media.id, "#status": "status" },
    ExpressionAttributeValues: {
      ...marshall({ ":media": media, ":now": moment(now), ":tenant": tenant, ":pending": "pending", ":max": MAX_MEDIA },
        { removeUndefinedValues: true }),
      ":ids": { SS: [media.id] },
    },
    ReturnValues: "ALL_NEW",
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  });
  const { Attributes } = await dynamodb.send(update).catch((error) => { throw refused(error, tenant); });
  return unmarshall(Attributes).media[media.id];
}

async function handle(event) {
  const tenant = await caller(event);
  const id = recordingId(event);
  const file = declared(event);
  const now = Date.now();
  const media = await announce(tenant, id, file, now);
  const kind = file.content_type.split("/")[0];
  const put = new PutObjectCommand({
    Bucket: bucket,
    Key: `${tenant.split("#")[0]}/${id}/${media.id}/${kind}.${EXTENSIONS[file.content_type]}`,
    ContentType: file.content_type,
    ContentLength: file.size,
    ChecksumSHA256: file.sha256 && Buffer.from(file.sha256, "hex").toString("base64"),
  });
  const signed = new Set(["content-type", "content-length", "x-amz-checksum-sha256"]);
  const unhoistableHeaders = new Set(["x-amz-checksum-sha256"]);
  const upload_url = await getSignedUrl(s3, put, { expiresIn: URL_SECONDS, signableHeaders: signed, unhoistableHeaders });
  return {
    media_id: media.id, upload_url, method: "PUT", headers: { "Content-Type": file.content_type },
    content_type: file.content_type, expires_at: media.url_expires_at, expires_in: URL_SECONDS,
  };
}

serve(answering(handle));
