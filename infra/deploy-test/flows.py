"""What devices, apps and operators do with a deployed Capstan, over HTTP. Every function is called at least once."""

import hashlib
import json
import math
import struct
import time
import urllib.error
import urllib.request
from pathlib import Path

SAMPLE = Path("infra/local/sample/spoken.ogg").read_bytes()

# Far below the two minutes after which run-due-work would do what a lost event left undone: a rule, a trigger or a
# notification that does not fire must not be hidden by it.
PATIENCE_SECONDS = 60
# The schedule fires every minute.
SCHEDULE_SECONDS = 150


class Refused(Exception):
    """An answer other than the expected one."""


def request(method, url, body=None, headers=None):
    """The status and the body of an answer, whatever the status."""
    asked = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read(), answer.headers


class Api:
    """The API as one caller sees it."""

    def __init__(self, url, credential=None):
        self.url = url
        self.credential = credential

    def by(self, credential):
        return Api(self.url, credential)

    def call(self, method, path, body=None, expect=200):
        headers = {"content-type": "application/json"}
        if self.credential:
            headers["authorization"] = f"Bearer {self.credential}"
        data = None if body is None else json.dumps(body).encode()
        status, answer, _ = request(method, self.url + path, data, headers)
        if status != expect:
            raise Refused(f"{method} {path}: {status} where {expect} was expected: {answer[:500]}")
        return json.loads(answer) if answer else None

    def get(self, path, expect=200):
        return self.call("GET", path, None, expect)

    def post(self, path, body, expect=200):
        return self.call("POST", path, body, expect)


def until(what, look, seconds=PATIENCE_SECONDS):
    """What `look` finds, once it finds something."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Refused(f"{what}: not within {seconds} s")
        time.sleep(0.2)


def put(url, body, headers=None):
    # urllib names a type of its own where none is given, and a part's URL is signed without one.
    status, answer, answered = request("PUT", url, body, headers or {"content-type": ""})
    if status != 200:
        raise Refused(f"PUT {url.split('?')[0]}: {status}: {answer[:500]}")
    return answered["ETag"]


def sound(seconds):
    """A tone as WAV, 16 kHz, mono, 16 bit."""
    period = [struct.pack("<h", round(8000 * math.sin(math.tau * at / 40))) for at in range(40)]
    samples = b"".join(period) * (seconds * 400)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    head = struct.pack("<4sI4s", b"RIFF", 36 + len(samples), b"WAVE")
    return head + form + struct.pack("<4sI", b"data", len(samples)) + samples


def completed(api, recording_id):
    """The recording once it was processed."""
    recording = until(
        f"the processing of {recording_id}",
        lambda: (lambda found: found if found["status"] in ("completed", "failed") else None)(
            api.get(f"/v1/recordings/{recording_id}")
        ),
    )
    if recording["status"] != "completed":
        raise Refused(f"{recording_id} failed: {recording['error']}")
    return recording


def kinds(recording):
    return sorted(made["kind"] for media in recording["media"] for made in media["renditions"])


def same(what, found, expected):
    if found != expected:
        raise Refused(f"{what}: {found!r} where {expected!r} was expected")


def contract(api, paths):
    """The document and the routes are the same, and everything else is answered too."""
    same("the paths of the document", set(api.get("/openapi.json")["paths"]), paths)
    same("an unknown path", api.get("/nowhere", expect=404)["error"]["code"], "not_found")
    api.by("sk_live_wrong").get("/v1/recordings", expect=401)
    api.by(None).get("/v1/recordings", expect=401)


def people_and_devices(api):
    """An end user with a device that is bound to them; gives both and the device's token."""
    end_user = api.post("/v1/end-users", {"external_id": "reporter-1"}, 201)["id"]
    same("the end user", api.get(f"/v1/end-users/{end_user}")["external_id"], "reporter-1")
    same("the end users", [found["id"] for found in api.get("/v1/end-users")["data"]], [end_user])
    device = api.post("/v1/devices", {"serial_number": "DEPLOY-0001"}, 201)["id"]
    api.call("PATCH", f"/v1/devices/{device}", {"model": "Field"})
    same("the device", api.get(f"/v1/devices/{device}")["model"], "Field")
    same("the devices", [found["id"] for found in api.get("/v1/devices")["data"]], [device])
    token = api.post(f"/v1/devices/{device}/bind", {"end_user_id": end_user})["device_token"]
    api.by(token).post(f"/v1/devices/{device}/heartbeat", {"battery_percent": 80})
    token = api.by(token).post("/v1/devices/me/token/refresh", {})["device_token"]
    return end_user, device, token


def without_tls(api, end_user):
    """A signed URL is good for nothing over plain HTTP."""
    recording_id = api.post("/v1/recordings", {"end_user_id": end_user}, 201)["id"]
    signed = api.post(f"/v1/recordings/{recording_id}/upload-url", {"content_type": "audio/ogg"})
    status, answer, _ = request("PUT", signed["upload_url"], SAMPLE, signed["headers"])
    same("the status", status, 403)
    same("a refusal by the bucket's policy", b"explicit deny in a resource-based policy" in answer, True)
    api.call("DELETE", f"/v1/recordings/{recording_id}", expect=204)


def one_put(api, device_api):
    """A device's recording, sent by one PUT. Everything that a function of its own does is waited for by itself."""
    recording_id = device_api.post("/v1/recordings", {"name": "One PUT", "source": "device"}, 201)["id"]
    path = f"/v1/recordings/{recording_id}"
    token = api.post(f"{path}/upload-token", {}, 201)["upload_token"]
    wanted = {
        "content_type": "audio/ogg",
        "file_size_bytes": len(SAMPLE),
        "content_sha256": hashlib.sha256(SAMPLE).hexdigest(),
    }
    signed = api.by(token).post(f"{path}/upload-url", wanted)
    put(signed["upload_url"], SAMPLE, signed["headers"])
    # S3 tells on-object-created, before anybody says that the upload is complete.
    until("the notification of S3", lambda: api.get(path)["media"][0]["status"] == "uploaded")
    device_api.post(f"{path}/upload-complete", {})
    # The bus tells process-recording.
    recording = completed(api, recording_id)
    same("the SHA-256", recording["content_sha256"], wanted["content_sha256"])
    same("the renditions of a sound that plays everywhere", kinds(recording), ["peaks"])
    original = api.post(f"{path}/download-url", {"media_id": signed["media_id"]})
    same("the original", request("GET", original["download_url"])[1], SAMPLE)
    peaks = api.post(f"{path}/download-url", {"rendition_id": recording["media"][0]["renditions"][0]["id"]})
    same("the version of the peaks", json.loads(request("GET", peaks["download_url"])[1])["version"], 2)
    api.call("PATCH", path, {"name": "Renamed"})
    same("the name in the list", api.get("/v1/recordings")["data"][0]["name"], "Renamed")
    return recording_id


def in_parts(api, end_user):
    """A recording sent in two parts, resumed between them, and one that is given up."""
    recording_id = api.post("/v1/recordings", {"name": "In parts", "end_user_id": end_user}, 201)["id"]
    path = f"/v1/recordings/{recording_id}"
    file = sound(seconds=200)
    wanted = {"content_type": "audio/wav", "file_size_bytes": len(file), "multipart": True}
    signed = api.post(f"{path}/upload-url", wanted)
    upload = f"{path}/media/{signed['media_id']}/upload"
    first, second = signed["parts"]
    put(first["upload_url"], file[: first["size_bytes"]])
    missing = api.get(upload)["parts"]
    same("the parts that are missing", [part["part_number"] for part in missing], [second["part_number"]])
    put(missing[0]["upload_url"], file[first["size_bytes"] :])
    api.post(f"{upload}/complete", {})
    api.post(f"{path}/upload-complete", {})
    recording = completed(api, recording_id)
    same("the duration", recording["duration_ms"], 200_000)
    same("the renditions of a lossless sound", kinds(recording), ["peaks", "playback"])

    given_up = api.post("/v1/recordings", {"end_user_id": end_user}, 201)["id"]
    signed = api.post(f"/v1/recordings/{given_up}/upload-url", wanted)
    api.call("DELETE", f"/v1/recordings/{given_up}/media/{signed['media_id']}/upload", expect=204)
    api.call("DELETE", f"/v1/recordings/{given_up}", expect=204)
    return recording_id


def plaud_shaped(api):
    """A recorder that is bound by its serial number, and a file of such a client."""
    recorder = {"sn": "DEPLOY-0002", "owner_id": "reporter-2"}
    api.post("/api/devices/bind", recorder)
    begun = api.post("/api/files/upload-s3/generate-presigned-urls", {"filesize": len(SAMPLE), "filetype": "ogg"})
    tag = put(begun["Parts"][0]["PresignedUrl"], SAMPLE)
    file = api.post("/api/files/upload-s3/complete-upload", {
        "file_id": begun["FileId"],
        "upload_id": begun["UploadId"],
        "part_list": [{"PartNumber": 1, "ETag": tag}],
        "filetype": "ogg",
        "file_md5": hashlib.md5(SAMPLE).hexdigest(),
        "sn": recorder["sn"],
    })
    completed(api, file["id"].replace("file_", "rec_", 1))
    api.post("/api/devices/unbind", recorder)


def transcription(api, recording_id, said):
    """A transcription that is asked for, and those that a project gets by itself."""
    path = f"/v1/recordings/{recording_id}/transcribe"
    asked = api.post(path, {}, 201)
    ended = lambda id: (lambda found: found if found["status"] in ("completed", "failed") else None)(
        api.get(f"/v1/transcriptions/{id}")
    )
    done = until("the transcription", lambda: ended(asked["id"]))
    same("the text, or why there is none", done["text"] or done["error"], said)
    status, text, _ = request("GET", f"{api.url}/v1/transcriptions/{asked['id']}/export?format=srt",
                              headers={"authorization": f"Bearer {api.credential}"})
    same("the export", (status, said.encode() in text), (200, True))
    same("the list", [found["id"] for found in api.get("/v1/transcriptions")["data"]], [asked["id"]])
    api.call("PUT", "/v1/settings", {"transcription": {"automatic": True}})
    same("the settings", api.get("/v1/settings")["transcription"]["automatic"], True)


def transcribed_by_itself(api, recording_id):
    """A recording of a project that wants every one transcribed."""
    id = until("the transcription's beginning", lambda: api.get(f"/v1/recordings/{recording_id}")["transcription_id"])
    until("its end", lambda: api.get(f"/v1/transcriptions/{id}")["status"] == "completed")


def deletion(api, recording_id, objects):
    """A deleted recording's objects go with the next run of the schedule."""
    keys = lambda: [key for key in objects() if recording_id in key]
    if not keys():
        raise Refused(f"no object of {recording_id} is in the bucket")
    api.call("DELETE", f"/v1/recordings/{recording_id}", expect=204)
    api.get(f"/v1/recordings/{recording_id}", expect=404)
    until("the schedule's removal of deleted objects", lambda: not keys(), SCHEDULE_SECONDS)


def farewell(api, end_user, device):
    api.post(f"/v1/devices/{device}/unbind", {})
    api.call("DELETE", f"/v1/end-users/{end_user}", expect=204)
