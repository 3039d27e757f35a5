"""A transcription server on loopback that speaks OpenAI's protocol and says one sentence whatever it hears."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SAID = "Shall we begin?"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        sound = self.rfile.read(int(self.headers["content-length"]))
        heard = self.path == "/v1/audio/transcriptions" and b"OggS" in sound
        said = {"text": SAID, "language": "english", "segments": [{"start": 0.5, "end": 2.0, "text": SAID}]}
        answer = json.dumps(said if heard else {"error": "not heard"}).encode()
        self.send_response(200 if heard else 400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Whisper:
    """Ends with the block."""

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_):
        self.server.shutdown()
