// POST /v1/recordings/{id}/upload-complete, if all files have arrived and the client sends no checksums: one write, one event.
import { UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { marshall, unmarshall } from "@aws-sdk/util-dynamodb";
import { Refusal, answering, body, caller, dynamodb, moment, recordingId, recordingKey, refused, table } from "./http.js";
import { serve } from "./runtime.js";

const eventbridge = new EventBridgeClient({});
const bus = process.env.EVENT_BUS_NAME;
const PICK_UP_SECONDS = 300;
const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";
const DUE_SHARDS = 8;

async function complete(tenant, id, event, now) {
  const due = new Date(now + PICK_UP_SECONDS * 1000).toISOString();
  const completion = { idempotency_key: event.headers["idempotency-key"], call: event.requestContext.requestId };
  const update = new UpdateItemCommand({
    TableName: table,
    Key: recordingKey(id),
    UpdateExpression:
      "SET #status = :uploaded, uploaded_at = :now, updated_at = :now, completion = :completion," +
      " due_key = :shard, due_at = :due",
    ConditionExpression:
      "tenant = :tenant AND attribute_not_exists(deleted_at) AND #status = :pending AND attribute_not_exists(awaited)" +
      " AND size(media) > :none",
    ExpressionAttributeNames: { "#status": "status" },
    ExpressionAttributeValues: marshall({
      ":uploaded": "uploaded", ":pending": "pending", ":now": moment(now), ":completion": completion, ":due": due,
      ":shard": `DUE#${DIGITS.indexOf(id.at(-1)) % DUE_SHARDS}`, ":tenant": tenant, ":none": 0,
    }, { removeUndefinedValues: true }),
    ReturnValues: "ALL_NEW",
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  });
  const { Attributes } = await dynamodb.send(update).catch((error) => { throw refused(error, tenant); });
  return unmarshall(Attributes);
}

async function tell(recording) {
  const [project_id, mode] = recording.tenant.split("#");
  const detail = JSON.stringify({ recording_id: recording.id, project_id, mode });
  const entry = { EventBusName: bus, Source: "capstan", DetailType: "recording.uploaded", Detail: detail };
  try {
    const { FailedEntryCount } = await eventbridge.send(new PutEventsCommand({ Entries: [entry] }));
    if (FailedEntryCount > 0) throw new Error("the bus did not take it");
  } catch (error) {
    // The recording stays due, and the sweep publishes the event again.
    console.warn(JSON.stringify({ level: "WARN", error: error.message, recording_id: recording.id }));
  }
}

function shown(recording) {
  const media = Object.values(recording.media).sort((a, b) => (a.id < b.id ? -1 : 1)).map((media) => ({
    id: media.id, type: media.content_type.split("/")[0], mime_type: media.content_type,
    file_size_bytes: media.stored?.size_bytes ?? media.declared_size ?? null, status: media.status,
    captured_at: media.declared_captured_at ?? null, created_at: media.created_at, renditions: [],
  }));
  const primary = media.find(({ type }) => type === "audio") ?? media[0];
  return {
    id: recording.id, project_id: recording.tenant.split("#")[0], device_id: recording.device_id ?? null,
    end_user_id: recording.end_user_id ?? null, name: recording.name ?? null, status: recording.status,
    duration_ms: null, duration_seconds: null, started_at: recording.started_at ?? null,
    recorded_at: recording.started_at ?? null, ended_at: recording.ended_at ?? null, transcription_id: null, media,
    metadata: JSON.parse(recording.metadata ?? "{}"), source: recording.source ?? null,
    content_sha256: recording.media[primary.id].stored?.sha256 ?? null, content_sha256_verified_at: null,
    file_size_bytes: primary.file_size_bytes, mime_type: primary.mime_type, error: null,
    created_at: recording.created_at, updated_at: recording.updated_at, uploaded_at: recording.uploaded_at,
    deleted_at: null,
  };
}

async function handle(event) {
  const tenant = await caller(event);
  const id = recordingId(event);
  const claimed = Object.keys(body(event));
  if (claimed.length) throw new Refusal(501, "not_here", `This one compares nothing: leave out ${claimed}.`);
  const recording = await complete(tenant, id, event, Date.now());
  await tell(recording);
  return shown(recording);
}

serve(answering(handle));
