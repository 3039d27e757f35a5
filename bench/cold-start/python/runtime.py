"""Minimal client of Lambda's Runtime API for Python. Lambda's own runtime does more before the first request."""

import http.client
import json
import os

PATH = "/2018-06-01/runtime/invocation/"


def serve(handler):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

    def call(method, path, body=None):
        connection.request(method, PATH + path, body)
        answer = connection.getresponse()
        return answer.headers, answer.read()

    while True:
        headers, event = call("GET", "next")
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            answer = handler(json.loads(event))
        except Exception as error:
            failure = {"errorType": type(error).__name__, "errorMessage": str(error)}
            call("POST", f"{request_id}/error", json.dumps(failure))
        else:
            call("POST", f"{request_id}/response", json.dumps(answer))
