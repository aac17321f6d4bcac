"""Starts `bootstrap` as each function over a Runtime API of its own, and says what starting and working cost.

    measure_start.py --bootstrap FILE [--starts N] [--warm N] [--functions NAME,..] [--instructions] [--table]

Needs nothing but Python, and Linux. AWS is a server on loopback that answers at once, with nothing: so what is measured is the
function, its SDK included and TLS, network and AWS excluded. Prints JSON; with --table, Markdown.

With --instructions each function runs twice more under valgrind's callgrind, until its first `GET /next` and until its second:
instructions do not depend on how busy the machine is.
"""

import argparse
import http.server
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid

SAMPLES = pathlib.Path(__file__).parents[2] / "events" / "samples"
ACCOUNT, SPOKE, REGION = "123456789012", "111122223333", "us-east-1"
FUNCTIONS = ("enqueue", "gate", "patch", "reevaluate", "notify", "console", "report")
# Valgrind runs a program some fifty times slower.
PATIENCE_SECS = 120
XML = {
    "AssumeRole": """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>""",
    "Publish": """<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>1</MessageId>
</PublishResult></PublishResponse>""",
}
JSON = {
    "ListRoots": {"Roots": [{"Id": "r-root", "Name": "Root"}]},
    "ListAccountsForParent": {"Accounts": [{"Id": SPOKE, "State": "ACTIVE", "Status": "ACTIVE"}]},
    "ListOrganizationalUnitsForParent": {"OrganizationalUnits": []},
    "DescribeInstanceInformation": {"InstanceInformationList": []},
    "Query": {"Items": [], "Count": 0, "ScannedCount": 0},
    "Scan": {"Items": [], "Count": 0, "ScannedCount": 0},
    "BatchGetItem": {"Responses": {}, "UnprocessedKeys": {}},
    "BatchWriteItem": {"UnprocessedItems": {}},
}


class Server(http.server.ThreadingHTTPServer):
    """A server on a free port of 127.0.0.1 that serves until it is shut down."""

    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # One write for head and body: two would wait for each other's acknowledgement.
    wbufsize = -1

    def log_message(self, *_):
        pass

    def read(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status, body=b"", headers=()):
        self.send_response_only(status)
        for name, value in [("Content-Length", str(len(body))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class Aws(Handler):
    """Every service, which has nothing and takes everything."""

    def do_POST(self):
        body = self.read()
        target = self.headers.get("X-Amz-Target")
        if target is None:
            operation = re.search(rb"Action=(\w+)", body)
            operation = operation.group(1).decode() if operation else "unknown"
            self.server.calls[operation] = self.server.calls.get(operation, 0) + 1
            return self.reply(200, XML.get(operation, "<Answer/>").encode(), [("Content-Type", "text/xml")])
        operation = target.rpartition(".")[2]
        self.server.calls[operation] = self.server.calls.get(operation, 0) + 1
        answer = JSON.get(operation, {})
        if operation == "SendMessageBatch":
            entries = json.loads(body)["Entries"]
            answer = {"Successful": [{"Id": entry["Id"], "MessageId": entry["Id"], "MD5OfMessageBody": ""} for entry in entries], "Failed": []}
        self.reply(200, json.dumps(answer).encode(), [("Content-Type", "application/x-amz-json-1.0")])

    def do_PUT(self):
        self.read()
        self.server.calls["PutObject"] = self.server.calls.get("PutObject", 0) + 1
        self.reply(200, b"", [("ETag", '"1"')])


class Runtime(Handler):
    """The Runtime API: hands out what is in `events`, and says in `seen` when something was asked or answered."""

    def do_GET(self):
        self.server.seen.put(("next", time.perf_counter(), None))
        event = self.server.events.get()
        if event is None:
            return
        headers = [
            ("Lambda-Runtime-Aws-Request-Id", str(uuid.uuid4())),
            ("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60_000)),
            ("Lambda-Runtime-Invoked-Function-Arn", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:tidegate"),
            ("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"),
            ("Content-Type", "application/json"),
        ]
        self.reply(200, json.dumps(event).encode(), headers)

    def do_POST(self):
        body = self.read()
        self.server.seen.put((self.path.rpartition("/")[2], time.perf_counter(), body))
        self.reply(202, b'{"status":"OK"}', [("Content-Type", "application/json")])


def sqs(*bodies):
    records = [
        {"messageId": str(uuid.uuid4()), "receiptHandle": "x", "body": json.dumps(body), "attributes": {}, "messageAttributes": {}, "eventSource": "aws:sqs"}
        for body in bodies
    ]
    return {"Records": records}


def items(*actions):
    return sqs({"tidegate": "items/1", "items": [{"action": action} for action in actions]})


def sample(number):
    return json.loads(next(SAMPLES.glob(f"{number}-*.json")).read_text())


def event(function):
    """What the function is invoked with: one record of the most usual kind, each time another one."""
    batch = f"patch-default.1.w0/{SPOKE}/{REGION}/0/0"
    if function == "enqueue":
        finding = sample("01")
        instance = f"i-{uuid.uuid4().hex[:17]}"
        finding = json.loads(json.dumps(finding).replace("i-0a1b2c3d4e5f67890", instance))
        return sqs(finding)
    if function == "gate":
        return sqs(sample("21"))
    if function == "patch":
        return items({"action": "send", "of": {"batch": batch, "step": "install"}})
    if function == "reevaluate":
        return items({"action": "look_at", "of": f"{SPOKE}/{REGION}/i-{uuid.uuid4().hex[:17]}"})
    if function == "notify":
        return items({"action": "notify", "of": {"kind": "wave_opened", "subject": "patch-default.1", "message": "opened", "at": "2026-11-20T02:16:00Z"}})
    if function == "console":
        http = {"method": "GET", "path": "/approval", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "measure"}
        query = "token=" + "0" * 64
        context = {"http": http, "accountId": ACCOUNT, "requestId": str(uuid.uuid4()), "time": "20/Nov/2026:02:16:00 +0000", "timeEpoch": 1_795_140_960_000}
        return {"version": "2.0", "rawPath": "/approval", "rawQueryString": query, "headers": {}, "requestContext": context, "isBase64Encoded": False}
    return {}


def environment(function, runtime, aws, folder):
    queue_url = f"http://{aws}/{ACCOUNT}/"
    env = {
        "PATH": os.environ.get("PATH", ""),
        "AWS_LAMBDA_RUNTIME_API": runtime,
        "AWS_LAMBDA_FUNCTION_NAME": f"tidegate-{function}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/tidegate",
        "AWS_LAMBDA_LOG_STREAM_NAME": "measured",
        "_HANDLER": function,
        "LAMBDA_TASK_ROOT": folder,
        "HOME": folder,
        "TMPDIR": folder,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://{aws}",
        "TIDEGATE_TABLE": "tidegate",
        "TIDEGATE_TOPIC": f"arn:aws:sns:{REGION}:{ACCOUNT}:tidegate",
        "TIDEGATE_BUCKET": "tidegate",
        "TIDEGATE_CONSOLE_URL": "https://console.example",
    }
    env.update({f"TIDEGATE_QUEUE_{name}": queue_url + name.lower() for name in ("WORK", "SENDS", "SPOKES", "NOTICES", "REFUSED")})
    if function in ("patch", "reevaluate"):
        env["TIDEGATE_EXTERNAL_ID"] = "an-external-id"
    return env


class Process:
    """One process of a function, with a Runtime API of its own."""

    def __init__(self, bootstrap, function, aws, folder, wrapper=()):
        self.runtime = Server(Runtime)
        self.runtime.events, self.runtime.seen = queue.Queue(), queue.Queue()
        self.log = tempfile.TemporaryFile()
        env = environment(function, self.runtime.address, aws.address, folder)
        self.started = time.perf_counter()
        self.child = subprocess.Popen([*wrapper, str(bootstrap)], env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def wait(self, what):
        """The time at which this happens next, and what came with it."""
        try:
            seen, at, body = self.runtime.seen.get(timeout=PATIENCE_SECS)
        except queue.Empty:
            seen, at, body = "nothing", 0, b""
        if seen != what:
            raise SystemExit(f"expected `{what}`, got `{seen}`: {body}\n{self.said()}")
        return at, body

    def invoke(self, function):
        """Milliseconds from the event to its answer; the next one is asked for already when this returns."""
        begun = time.perf_counter()
        self.runtime.events.put(event(function))
        at, body = self.wait("response")
        self.wait("next")
        answer = json.loads(body or b"null")
        if isinstance(answer, dict) and answer.get("batchItemFailures"):
            raise SystemExit(f"`{function}` did not do what it was given: {answer}\n{self.said()}")
        return (at - begun) * 1000

    def cpu_ms(self):
        """User and system time so far, in milliseconds: to the nanosecond, where `times` counts ticks."""
        schedstats = pathlib.Path(f"/proc/{self.child.pid}/task").glob("*/schedstat")
        return sum(int(stat.read_text().split()[0]) for stat in schedstats) / 1e6

    def memory_mb(self, name):
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+) kB", status).group(1)) / 1024

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-4000:]

    def end(self, how=signal.SIGKILL):
        self.child.send_signal(how)
        self.child.wait(PATIENCE_SECS)
        self.runtime.events.put(None)
        self.runtime.shutdown()
        self.runtime.server_close()
        self.log.close()


def measure(bootstrap, function, starts, warm, folder):
    """Cold starts, each with its first invocation; then one process that goes on."""
    cold = {"to_next_ms": [], "to_next_cpu_ms": [], "first_invoke_ms": [], "first_cpu_ms": []}
    for start in range(starts):
        aws = Server(Aws)
        aws.calls = {}
        process = Process(bootstrap, function, aws, folder)
        at, _ = process.wait("next")
        cold["to_next_ms"].append((at - process.started) * 1000)
        cold["to_next_cpu_ms"].append(process.cpu_ms())
        idle_mb = process.memory_mb("VmRSS")
        cold["first_invoke_ms"].append(process.invoke(function))
        cold["first_cpu_ms"].append(process.cpu_ms() - cold["to_next_cpu_ms"][-1])
        first_calls = dict(sorted(aws.calls.items()))
        if start < starts - 1:
            process.end()
            aws.shutdown()
            aws.server_close()
    before = process.cpu_ms()
    walls = [process.invoke(function) for _ in range(warm)]
    result = {name: {"median": statistics.median(values), "least": min(values)} for name, values in cold.items()}
    result |= {
        "warm_ms": {"median": statistics.median(walls), "least": min(walls)},
        "warm_cpu_ms": (process.cpu_ms() - before) / max(warm, 1),
        "at_next_mb": idle_mb,
        "most_mb": process.memory_mb("VmHWM"),
        "first_calls": first_calls,
    }
    process.end()
    aws.shutdown()
    aws.server_close()
    return result


def instructions(bootstrap, function, folder, invoke):
    """Instructions from the first one of the process to its first `GET /next`, or to the one after its first invocation."""
    aws = Server(Aws)
    aws.calls = {}
    out = pathlib.Path(folder) / f"callgrind.{function}"
    process = Process(bootstrap, function, aws, folder, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--quiet"])
    process.wait("next")
    if invoke:
        process.invoke(function)
    elif aws.calls:
        raise SystemExit(f"`{function}` called AWS before it had anything to do: {aws.calls}")
    # Callgrind writes its sums when the program is ended by a signal that can be caught.
    process.end(signal.SIGTERM)
    aws.shutdown()
    aws.server_close()
    return int(re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE).group(1))


def table(results):
    """Two tables: starting with the first invocation, and what follows."""
    million = lambda cost, name: f"{cost[name] / 1e6:.1f}" if name in cost else ""
    both = lambda cost, name: f"{cost[name]['median']:.1f} ({cost[name]['least']:.1f})"
    lines = [
        "| function | start to `/next`, ms | CPU, ms | million instructions | first invocation, ms | CPU, ms | million instructions |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for function, cost in results.items():
        cells = [both(cost, "to_next_ms"), f"{cost['to_next_cpu_ms']['median']:.1f}", million(cost, "instructions")]
        cells += [both(cost, "first_invoke_ms"), f"{cost['first_cpu_ms']['median']:.1f}", million(cost, "first_invoke_instructions")]
        lines.append(f"| `{function}` | {' | '.join(cells)} |")
    lines += ["", "| function | warm, ms | CPU, ms | RSS at `/next`, MB | most, MB | calls of the first invocation |", "| --- | --: | --: | --: | --: | --- |"]
    for function, cost in results.items():
        calls = ", ".join(f"{count} {name}" for name, count in cost["first_calls"].items())
        cells = [both(cost, "warm_ms"), f"{cost['warm_cpu_ms']:.2f}", f"{cost['at_next_mb']:.1f}", f"{cost['most_mb']:.1f}", calls]
        lines.append(f"| `{function}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True, type=pathlib.Path)
    parser.add_argument("--starts", type=int, default=11)
    parser.add_argument("--warm", type=int, default=200)
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.instructions and not shutil.which("valgrind"):
        raise SystemExit("`valgrind` is not there: it counts instructions; install it with the system's package manager (`apt-get install valgrind`)")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for function in arguments.functions.split(","):
            results[function] = measure(arguments.bootstrap.resolve(), function, arguments.starts, arguments.warm, folder) if arguments.starts else {}
            if arguments.instructions:
                to_next, to_second = (instructions(arguments.bootstrap.resolve(), function, folder, invoke) for invoke in (False, True))
                results[function] |= {"instructions": to_next, "first_invoke_instructions": to_second - to_next}
    print(table(results) if arguments.table and arguments.starts else json.dumps(results, indent=2))


if __name__ == "__main__":
    sys.exit(main())
