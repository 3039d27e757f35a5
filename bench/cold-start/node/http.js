// Shared by both endpoints: authentication and responses.
import { createHash, randomBytes } from "node:crypto";
import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";
import { unmarshall } from "@aws-sdk/util-dynamodb";

export const table = process.env.TABLE_NAME;
export const dynamodb = new DynamoDBClient({});

const TRUSTED_MS = 5000;
const seen = new Map();

export class Refusal extends Error {
  constructor(status, code, message, details = {}) {
    super(message);
    Object.assign(this, { status, code, details });
  }
}

export const notFound = () => new Refusal(404, "not_found", "No such recording.");

async function credential(hash) {
  const known = seen.get(hash);
  if (known && Date.now() < known.at + TRUSTED_MS) return known.credential;
  const key = { PK: { S: `KEY#${hash}` }, SK: { S: "KEY" } };
  const { Item } = await dynamodb.send(new GetItemCommand({ TableName: table, Key: key }));
  if (!Item) throw new Refusal(401, "unauthorized", "The credential is not known.");
  const found = unmarshall(Item);
  if (seen.size >= 1000) seen.clear();
  seen.set(hash, { credential: found, at: Date.now() });
  return found;
}

/** Tenant of the caller. Fails if the caller may not upload. */
export async function caller(event) {
  const [scheme, text] = (event.headers.authorization ?? "").split(" ");
  if (scheme !== "Bearer" || !text) throw new Refusal(401, "unauthorized", "Send a credential as a bearer token.");
  const found = await credential(createHash("sha256").update(text).digest("hex"));
  const ended = found.expires_at && found.expires_at <= new Date().toISOString();
  if (found.revoked_at || ended) throw new Refusal(401, "unauthorized", "The credential has ended.");
  const scopes = found.grant.scopes ?? [];
  const permitted = found.grant.kind === "secret" || scopes.includes("recordings:write");
  if (!permitted) throw new Refusal(403, "forbidden", "The credential may not upload.");
  return found.tenant;
}

export function recordingId(event) {
  const id = event.pathParameters?.id ?? "";
  if (!/^rec_[0-9a-z]+$/.test(id)) throw notFound();
  return id;
}

export const recordingKey = (id) => ({ PK: { S: `REC#${id}` }, SK: { S: "REC" } });

export function body(event) {
  if (!event.body) return {};
  const text = event.isBase64Encoded ? Buffer.from(event.body, "base64").toString() : event.body;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal(400, "invalid_request", `The body is not JSON: ${error.message}`);
  }
}

const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";

/** ULID: 48 bits of time and 80 random bits. */
export function newId(prefix) {
  let bits = (BigInt(Date.now()) << 80n) | BigInt(`0x${randomBytes(10).toString("hex")}`);
  let text = "";
  for (let digit = 0; digit < 26; digit++, bits >>= 5n) text = DIGITS[Number(bits & 31n)] + text;
  return prefix + text;
}

/** ISO 8601 time without fraction if the milliseconds are zero. */
export const moment = (milliseconds) => new Date(milliseconds).toISOString().replace(".000Z", "Z");

/** Error response for a failed condition, from the state of the recording. */
export function refused(error, tenant) {
  if (error.name !== "ConditionalCheckFailedException") return error;
  const old = error.Item && unmarshall(error.Item);
  if (!old || old.tenant !== tenant || old.deleted_at) return notFound();
  const details = { status: old.status };
  if (old.status !== "pending") {
    return new Refusal(400, "recording_not_pending", `The recording is ${old.status}.`, details);
  }
  if (old.awaited) return new Refusal(400, "media_not_uploaded", "Media are missing.", { missing: [...old.awaited] });
  return new Refusal(400, "upload_expired", "The recording's upload has ended.", details);
}

/** Handler that logs one line per request and responds to every failure. */
export const answering = (handler) => async (event) => {
  const began = performance.now();
  const request_id = event.requestContext.requestId;
  let status = 200;
  let answer;
  try {
    answer = await handler(event);
  } catch (error) {
    status = error.status ?? 500;
    const failure = error.status ? error : new Refusal(500, "internal_error", "Something went wrong.");
    answer = { error: { code: failure.code, message: failure.message, details: failure.details, request_id } };
    if (status === 500) console.error(JSON.stringify({ level: "ERROR", error: `${error.stack}`, request_id }));
  }
  const duration_ms = performance.now() - began;
  const route = event.requestContext.routeKey;
  console.log(JSON.stringify({ level: "INFO", message: "request", route, status, duration_ms, request_id }));
  const headers = { "content-type": "application/json", "x-request-id": request_id };
  return { statusCode: status, headers, body: JSON.stringify(answer), isBase64Encoded: false };
};
