"""The life of a deployment, in an AWS emulator on loopback: built, deployed, at work, changed, deleted."""

import copy
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import yaml

import flows
from whisper import SAID, Whisper

WORK = Path("target/deploy-test").absolute()
BUILT = WORK / "build"
# That of the environment `dev` in samconfig.toml.
STACK = "capstan-dev"
REGION = "us-east-1"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
OVERRIDES = f"Architecture={ARCHITECTURE} LogRetentionDays=7"
# SAM keeps what it uploads in a bucket of a stack of its own, which outlives everything that it deploys.
SAM_OWN = "aws-sam-cli-managed-default"

began = time.monotonic()


def step(what):
    seconds = int(time.monotonic() - began)
    print(f"\n==> [{seconds // 60}m{seconds % 60:02}s] {what}", flush=True)


def bare_environment():
    """Nothing of the caller's that AWS clients or the functions read: neither a profile of a real account nor a
    variable that the template forgot may slip in."""
    kept = ("PATH", "HOME", "CARGO", "RUSTC", "RUSTFLAGS", "RUSTUP")
    return {name: value for name, value in os.environ.items() if name.startswith(kept)} | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAM_CLI_TELEMETRY": "0",
    }


class Emulator:
    """ministack, which enforces the actions and resources of policies: functions run as their roles. Ends with the
    block."""

    def __init__(self, whisper_url):
        self.overrides = f"{OVERRIDES} TranscriptionProviders=whisper WhisperUrl={whisper_url}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = bare_environment() | {"AWS_ENDPOINT_URL": self.url}
        self.log = WORK / "emulator.log"
        self.files = WORK / "emulator-files"

    def __enter__(self):
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir()
        settings = {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "MINISTACK_HOST": "127.0.0.1",
            "SFTP_ENABLED": "0",
            "TMPDIR": str(self.files),
        }
        # A session of its own: the functions are its children, and end with it.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=self.environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            flows.until("the start of the emulator", self.answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise SystemExit(f"the emulator did not start: {self.log}")
        try:
            return flows.request("GET", f"{self.url}/_ministack/health")[0] == 200
        except OSError:
            return False

    def __exit__(self, *_):
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, how)
                self.process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass

    def aws(self, service):
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def run(self, *command, **variables):
        """What a command answers. It is shown only where it failed."""
        environment = self.environment | variables
        ended = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if ended.returncode != 0:
            raise SystemExit(f"{ended.stdout}{ended.stderr}\n{' '.join(command)}: exit code {ended.returncode}")
        return ended.stdout + ended.stderr

    def deploy(self, template):
        # SAM looks for samconfig.toml beside the template.
        settings = ["--config-file", str(Path("samconfig.toml").absolute()), "--config-env", "dev"]
        told = self.run("sam", "deploy", "--template-file", str(template), "--no-progressbar", *settings,
                        "--parameter-overrides", self.overrides)
        self.make_routes()
        return told

    def make_routes(self):
        """SAM puts the routes into the API's `Body`, from which the emulator makes none: they are made here, from the
        template as CloudFormation was given it."""
        cloudformation, gateway = self.aws("cloudformation"), self.aws("apigatewayv2")
        body = cloudformation.get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
        paths = json.loads(json.dumps(body))["Resources"]["Api"]["Properties"]["Body"]["paths"]
        resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
        names = {found["LogicalResourceId"]: found["PhysicalResourceId"] for found in resources}
        api = names["Api"]
        for route in gateway.get_routes(ApiId=api)["Items"]:
            gateway.delete_route(ApiId=api, RouteId=route["RouteId"])
        for path, methods in paths.items():
            for method, operation in methods.items():
                integration = operation["x-amazon-apigateway-integration"]
                function = names[re.search(r"\$\{(\w+)\.Arn\}", integration["uri"]["Fn::Sub"])[1]]
                made = gateway.create_integration(
                    ApiId=api,
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=f"arn:aws:lambda:{REGION}:000000000000:function:{function}",
                    PayloadFormatVersion=integration["payloadFormatVersion"],
                )
                key = path if path == "$default" else f"{method.upper()} {path}"
                gateway.create_route(ApiId=api, RouteKey=key, Target=f"integrations/{made['IntegrationId']}")

    def outputs(self):
        described = self.aws("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def api(self, outputs, credential=None):
        # The emulator answers for every API at its own address.
        identifier = re.match(r"https://([^.]+)\.execute-api\.", outputs["ApiUrl"])[1]
        return flows.Api(f"{self.url}/_aws/execute-api/{identifier}", credential)

    def objects(self, bucket):
        pages = self.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def inventory(self):
        """All that costs or grants something, by kind."""
        listed = {
            "functions": [found["FunctionArn"] for found in self.pages("lambda", "list_functions", "Functions")],
            "apis": [found["ApiId"] for found in self.aws("apigatewayv2").get_apis()["Items"]],
            "buses": [found["Name"] for found in self.aws("events").list_event_buses()["EventBuses"]],
            "rules": [found["Name"] for found in self.aws("events").list_rules()["Rules"]],
            "queues": self.aws("sqs").list_queues().get("QueueUrls", []),
            "alarms": [found["AlarmName"] for found in self.aws("cloudwatch").describe_alarms()["MetricAlarms"]],
            "roles": [found["RoleName"] for found in self.pages("iam", "list_roles", "Roles")],
            "policies": [
                found["PolicyName"] for found in self.pages("iam", "list_policies", "Policies", Scope="Local")
            ],
            "log groups": [found["logGroupName"] for found in self.pages("logs", "describe_log_groups", "logGroups")],
            "tables": self.aws("dynamodb").list_tables()["TableNames"],
            "buckets": [found["Name"] for found in self.aws("s3").list_buckets()["Buckets"]],
            "stacks": [
                found["StackName"]
                for found in self.pages("cloudformation", "list_stacks", "StackSummaries")
                if found["StackStatus"] != "DELETE_COMPLETE"
            ],
        }
        return {kind: sorted(name for name in names if SAM_OWN not in name) for kind, names in listed.items()}

    def functions(self):
        """The name of each function, by what the template calls it."""
        resources = self.aws("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        kind = "AWS::Lambda::Function"
        made = [resource for resource in resources if resource["ResourceType"] == kind]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in made}

    def idle(self):
        """The functions of which no sandbox was ever started."""
        log = self.log.read_text()
        return sorted(known for known, name in self.functions().items() if f"spawned for {name} " not in log)

    def invoke(self, function, built):
        resource = yaml.safe_load(built.read_text())["Resources"][function]
        event = Path("events", resource["Metadata"]["BuildProperties"]["Binary"] + ".json").read_bytes()
        answer = self.aws("lambda").invoke(FunctionName=self.functions()[function], Payload=event)
        if "FunctionError" in answer:
            raise flows.Refused(f"{function}: {answer['Payload'].read()}")

    def errors(self):
        """What went wrong, as the one log group of all functions has it."""
        events = self.pages("logs", "filter_log_events", "events", logGroupName=f"/aws/lambda/{STACK}")
        signs = ('"level":"ERROR"', "errorType", "Task timed out")
        return [event["message"] for event in events if any(sign in event["message"] for sign in signs)]

    def pages(self, service, operation, of, **arguments):
        for page in self.aws(service).get_paginator(operation).paginate(**arguments):
            yield from page[of]


def run(*command, **variables):
    """Shows what a command says, and ends with it where it fails."""
    # With the caller's proxies, since cargo may fetch.
    environment = os.environ | bare_environment() | variables
    if subprocess.run(command, env=environment, stdin=subprocess.DEVNULL).returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed")


def build():
    # A faster profile than the one that ships, and folders of its own: nobody deploys these by mistake.
    faster = {
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
        "CARGO_PROFILE_RELEASE_LTO": "off",
        "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
        "CARGO_TARGET_DIR": str(WORK / "cargo"),
    }
    # SAM builds one function after the other. It finds each linked already: those of an area link side by side here.
    for area in sorted(Path("functions").iterdir()):
        run("cargo", "lambda", "build", "--quiet", "--release", "--bins", "--manifest-path", str(area / "Cargo.toml"), **faster)
    run("sam", "build", "--build-dir", str(BUILT), "--parameter-overrides", OVERRIDES, **faster)
    return BUILT / "template.yaml"


def with_one_function_more(built):
    """The template with a second function of a binary that there is, at a path of its own."""
    template = yaml.safe_load(built.read_text())
    more = copy.deepcopy(template["Resources"]["GetOpenapiFunction"])
    more["Properties"]["Events"]["Route"]["Properties"]["Path"] = "/one-more.json"
    template["Resources"]["OneMoreFunction"] = more
    path = built.with_name("one-more.yaml")
    path.write_text(yaml.safe_dump(template))
    return path


def document_paths():
    return set(json.loads(Path("openapi.json").read_text())["paths"])


def live(emulator, built):
    before = emulator.inventory()

    step("sam deploy")
    emulator.deploy(built)
    outputs = emulator.outputs()

    step("the first key")
    command = ["cargo", "run", "--quiet", "--", "keys", "create"]
    told = emulator.run(*command, "--project", "proj_deploy", "--table", outputs["TableName"])
    key = told.splitlines()[0]
    api = emulator.api(outputs, key)

    step("the contract, people and devices")
    flows.contract(api, document_paths())
    end_user, device, token = flows.people_and_devices(api)
    step("the bucket refuses what comes without TLS")
    flows.without_tls(api, end_user)
    # The functions trust no certificate that an emulator could have, so it has none. That policy allows nothing.
    bucket = outputs["MediaBucketName"]
    emulator.aws("s3").delete_bucket_policy(Bucket=bucket)
    step("one PUT: notification, completion, processing, renditions")
    kept = flows.one_put(api, api.by(token))
    step("a transcription")
    flows.transcription(api, kept, SAID)
    step("the device client")
    command = ["cargo", "run", "--quiet", "--", "upload", "infra/local/sample/spoken.ogg", "--state-dir"]
    told = emulator.run(*command, str(emulator.files), CAPSTAN_URL=api.url, CAPSTAN_DEVICE_TOKEN=token)
    flows.completed(api, told.split()[0])
    flows.transcribed_by_itself(api, told.split()[0])
    step("an upload in parts")
    in_parts = flows.in_parts(api, end_user)
    step("a Plaud-shaped client")
    flows.plaud_shaped(api)
    step("the schedule: a deleted recording's objects go")
    flows.deletion(api, in_parts, lambda: emulator.objects(bucket))

    step("a deployment that changes nothing")
    flows.same("what is told", "up to date" in emulator.deploy(built), True)
    flows.same("the outputs", emulator.outputs(), outputs)

    step("a deployment that adds a function")
    emulator.deploy(with_one_function_more(built))
    flows.same("the outputs", emulator.outputs(), outputs)
    flows.same("the new function's answer", "paths" in api.get("/one-more.json"), True)
    flows.same("the recording", api.get(f"/v1/recordings/{kept}")["status"], "completed")
    flows.farewell(api, end_user, device)

    step("every function was at work and none failed")
    for function in emulator.idle():
        # What no flow needs gets the event of its tests, which is about nothing that there is.
        print(f"{function} by its event file")
        emulator.invoke(function, built)
    flows.same("the functions that never started", emulator.idle(), [])
    flows.same("what the functions logged as an error", emulator.errors(), [])

    step("sam delete")
    objects = emulator.objects(bucket)
    emulator.run("sam", "delete", "--stack-name", STACK, "--region", REGION, "--no-prompts")
    left = emulator.inventory()
    retained = {"tables": [outputs["TableName"]], "buckets": [bucket]}
    flows.same("what is left", left, {kind: sorted(names + retained.get(kind, [])) for kind, names in before.items()})
    flows.same("the objects that are left", emulator.objects(bucket), objects)


def main():
    # So that whoever ends this ends the emulator too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A proxy is for the registries, not for loopback.
    os.environ |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    step("sam validate --lint")
    run("sam", "validate", "--lint")
    step("sam build")
    built = build()
    step("cargo build, for the first key")
    run("cargo", "build", "--quiet")
    step("an AWS emulator on loopback")
    with Whisper() as whisper_url, Emulator(whisper_url) as emulator:
        try:
            live(emulator, built)
        except flows.Refused as refused:
            raise SystemExit(f"\n{refused}\nWhat the emulator and the functions said: {emulator.log}") from None
    step("done")


if __name__ == "__main__":
    main()
