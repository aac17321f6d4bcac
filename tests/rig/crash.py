"""Kills the function that sends commands, for real, at each of its steps.

    crash.py --endpoint URL --world URL --bootstrap FILE --policy FILE --clock FILE --logs FOLDER

prints what happened as JSON; the test asserts on it. The functions are processes of the real binary, each under a Runtime API of this
program, which also is the event source: it receives from the queues and deletes what a function says is done. Each instance of the
fleet is alone in its account, so that it is a batch of its own. What `patch` is given for one batch is given to a process of its own,
which calls AWS through a gallows: a proxy that counts its calls, and ends it (SIGKILL) when its call has come. Then the message comes
again, to a new process, as SQS would have it.

A batch is in a pool, which says which of its messages is killed, and at which moment:

* `send`: the first Send, before its n-th call;
* `done`: the first Send, after the n-th call that changes something, before its answer is handed on;
* `vain`, `lost`: the first Send just before SendCommand leaves, or when it has been answered (nobody hears the answer); then the first
  search, after its n-th call that changes something or looks for the command;
* `again`: as `vain`, but the second search, with the resend that follows;
* `late SECS`: the first Send when SendCommand is under way; it arrives SECS later, when its sender is long dead.
"""

import argparse
import collections
import http.client
import http.server
import itertools
import json
import os
import pathlib
import queue
import signal
import socketserver
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import deploy
from clients import Account

STEP_SECS = 60
# Of the rig's clock. Then whatever is not done is never done.
PATIENCE_SECS = 8 * 3600
# Of the machine's clock: how long an invocation may take.
INVOCATION_SECS = 60
# A function's name for what it reads; it is told nothing else.
READS = {queue_name: function for function, queue_name in deploy.READERS.items()}
# What the functions read, in the order in which this program hands out.
ORDER = ("work", "spokes", "notices")


class Clock:
    """The file that every process of the test reads its time from."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR)

    def advance(self, secs):
        ahead = struct.unpack("=q", os.pread(self.file, 8, 0))[0]
        os.pwrite(self.file, struct.pack("=q", ahead + secs), 0)


class Quiet(http.server.BaseHTTPRequestHandler):
    """HTTP/1.1 that keeps its connections, and writes an answer at once (in two pieces it would wait for an acknowledgement)."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status, headers, body):
        head = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'x')}", *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
        self.wfile.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def hang_up(self):
        self.close_connection = True

    def handle(self):
        try:
            super().handle()
        except OSError:
            # Whoever was on the other side is dead: that is what this is about.
            pass


class Listener(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        threading.Thread(target=self.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()

    @property
    def port(self):
        return self.server_address[1]


def operation(headers, body):
    """What a call is: the last word of its target, or the action of a form."""
    target = headers.get("X-Amz-Target")
    if target:
        return target.rsplit(".", 1)[-1]
    form = urllib.parse.parse_qs(body.decode("utf-8", "replace"))
    return form.get("Action", ["?"])[0]


class Gallows:
    """Between one process and the services: counts its calls, and ends it at the one that was chosen."""

    def __init__(self, upstreams):
        self.lock = threading.Lock()
        self.listeners = {name: Listener(self._handler(url)) for name, url in upstreams.items()}
        self.free()

    def url(self, name):
        return f"http://127.0.0.1:{self.listeners[name].port}"

    def free(self):
        """Whoever comes next lives."""
        self.arm(lambda number, call: None)

    def arm(self, sentence):
        """`sentence(number, call)` says what becomes of the caller: nothing, `before`, `after`, or `under_way`."""
        self.sentence, self.calls, self.death, self.process, self.held = sentence, [], None, None, None

    def watch(self, process):
        self.process = process

    def step(self, call):
        """A step begins. Gives its sentence; the dead take no further steps."""
        with self.lock:
            if self.death:
                return "dead"
            self.calls.append(call)
            how = self.sentence(len(self.calls), call)
            if how:
                self.death = {"call": call, "number": len(self.calls), "how": how}
            return how

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _handler(gallows, url):
        host, port = urllib.parse.urlsplit(url).hostname, urllib.parse.urlsplit(url).port

        class Rope(Quiet):
            def do_POST(self):
                body = self.body()
                how = gallows.step(operation(self.headers, body))
                if how == "dead":
                    return self.hang_up()
                if how == "before":
                    gallows.kill()
                    return self.hang_up()
                # As it was signed, host and all.
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}

                def forward():
                    upstream = http.client.HTTPConnection(host, port, timeout=60)
                    try:
                        upstream.request(self.command, self.path, body, headers)
                        answer = upstream.getresponse()
                        return answer.status, answer.getheaders(), answer.read()
                    finally:
                        upstream.close()

                if how == "under_way":
                    gallows.held = forward
                    gallows.kill()
                    return self.hang_up()
                status, answered, said = forward()
                if how == "after":
                    gallows.kill()
                    return self.hang_up()
                skipped = ("content-length", "transfer-encoding", "connection")
                self.answer(status, [(name, value) for name, value in answered if name.lower() not in skipped], said)

            do_GET = do_PUT = do_POST

        return Rope


class Function:
    """The binary as one function, under a Runtime API of its own. Its process ends when it is killed, or with this program."""

    def __init__(self, binary, name, variables, logs, gallows=None):
        self.name, self.binary, self.variables, self.gallows = name, binary, variables, gallows
        self.invocations, self.answers = None, queue.Queue()
        self.listener = None
        self.process, self.log = None, open(pathlib.Path(logs) / f"{name}.log", "ab")

    def start(self):
        # A Runtime API of its own for each process, made before it: a question of the one before must not take what is meant for this
        # one, and the first question of this one must not wait where nothing comes.
        before, self.invocations = self.listener, queue.Queue()
        self.listener = Listener(self._handler(self.invocations))
        if before:
            threading.Thread(target=lambda: (before.shutdown(), before.server_close()), daemon=True).start()
        runtime = {"_HANDLER": self.name, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.listener.port}", "AWS_LAMBDA_FUNCTION_NAME": f"tidegate-{self.name}"}
        runtime |= {"AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_LOG_GROUP_NAME": "x", "AWS_LAMBDA_LOG_STREAM_NAME": "x"}
        self.process = subprocess.Popen([self.binary], env=self.variables | runtime, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        if self.gallows:
            self.gallows.watch(self.process)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def invoke(self, records):
        """Gives what it answered; `None` where it died."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        while not self.answers.empty():
            self.answers.get_nowait()
        self.invocations.put({"Records": records})
        begun = time.monotonic()
        while time.monotonic() - begun < INVOCATION_SECS:
            try:
                return self.answers.get(timeout=0.02)
            except queue.Empty:
                if self.process.poll() is None:
                    continue
                # Its answer may have come before its end.
                try:
                    return self.answers.get(timeout=0.05)
                except queue.Empty:
                    return None
        raise SystemExit(f"`{self.name}` did not answer within {INVOCATION_SECS} s")

    def _handler(function, invocations):
        class RuntimeApi(Quiet):
            def do_GET(self):
                event = invocations.get()
                headers = [
                    ("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
                    ("Lambda-Runtime-Deadline-Ms", str(int((time.time() + INVOCATION_SECS) * 1000))),
                    ("Lambda-Runtime-Invoked-Function-Arn", f"arn:aws:lambda:us-east-1:{deploy.HUB}:function:tidegate-{function.name}"),
                    ("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"),
                    ("Content-Type", "application/json"),
                ]
                self.answer(200, headers, json.dumps(event).encode())

            def do_POST(self):
                body = self.body()
                is_answer = self.path.endswith("/response")
                how = function.gallows.step("the answer to Lambda") if function.gallows and is_answer else None
                if how == "dead":
                    return self.hang_up()
                if how == "before":
                    function.gallows.kill()
                    return self.hang_up()
                function.answers.put(json.loads(body) if is_answer else {"failed": body.decode("utf-8", "replace")})
                if how:
                    function.gallows.kill()
                    return self.hang_up()
                self.answer(202, [("Content-Type", "application/json")], b'{"status":"OK"}')

        return RuntimeApi


def read(body):
    """What kind of message of the queue of sends this is, and the batch that it is about."""
    [item] = json.loads(body)["items"]
    action, about = item["action"]["action"], item["action"]["of"]
    if action == "send":
        return f"send {about['step']}", about["batch"]
    return action, about["batch"] if isinstance(about, dict) else about


def is_mark(call):
    """Whether something has changed after it, or a command has been looked for. Between two reads nothing has."""
    return call == "ListCommands" or not call.startswith(("BatchGet", "Get", "Query", "List", "Describe", "Select"))


class Plans:
    """Who is killed where. Moments are counted out as they come: one batch after the other gets the next one, until one has outlived
    its message; then the next pool has its turn. Whoever is left over is for the searches."""

    def __init__(self, late_secs):
        self.turns = {pool: iter(range(1, 1000)) for pool in ("send", "done", "vain", "lost", "again")}
        self.whole = {}
        self.late = list(late_secs)
        self.of, self.count = {}, collections.Counter()

    def sentence(self, kind, batch):
        """The pool, whether it is its counted message, and what becomes of whoever is given it; nothing where he lives."""
        self.count[kind, batch] += 1
        nth = self.count[kind, batch]
        if (kind, nth) == ("send install", 1):
            pool = self.of[batch] = self._pool()
            if pool in ("send", "done"):
                return self._turn(pool)
            how = "after" if pool == "lost" else "under_way" if pool.startswith("late") else "before"
            return pool, False, lambda number, call: how if call == "SendCommand" else None
        pool = self.of.get(batch)
        if (kind, nth, pool) in (("search", 1, "vain"), ("search", 1, "lost"), ("search", 2, "again")):
            return self._turn(pool)
        return None, False, None

    def _pool(self):
        for pool in ("send", "done"):
            if pool not in self.whole:
                return pool
        if self.late:
            return f"late {self.late.pop(0)}"
        pools = list(self.of.values())
        # The second search goes on to a resend: it has twice as many moments.
        return min(("vain", "lost", "again"), key=lambda pool: pools.count(pool) / (2 if pool == "again" else 1))

    def _turn(self, pool):
        if pool in self.whole:
            return None, False, None
        turn, marks = next(self.turns[pool]), itertools.count(1)
        if pool == "send":
            return pool, True, lambda number, call: "before" if number == turn else None
        return pool, True, lambda number, call: "after" if is_mark(call) and next(marks) == turn else None

    def outlived(self, pool, calls):
        self.whole[pool] = calls


class Run:
    def __init__(self, args):
        self.world, self.clock, self.begun = args.world.rstrip("/"), Clock(args.clock), time.time()
        self.hub = Account(args.endpoint, deploy.HUB)
        deploy.make_table(self.hub)
        self.urls = deploy.make_queues(self.hub)
        self.hosts = self.ask_world("hosts")
        trusted = {name: f"arn:aws:iam::{deploy.HUB}:role/tidegate-{name}" for name in deploy.ENTERS_SPOKES}
        for account in sorted({key.split("/")[0] for key in self.hosts}):
            deploy.make_spoke_role(Account(args.endpoint, account), trusted)
        self.gallows = Gallows({"hub": args.endpoint, "world": self.world})
        variables = lambda name, endpoint, world: self.environment(name, endpoint, world, args.policy)
        self.functions = {name: Function(args.bootstrap, name, variables(name, args.endpoint, self.world), args.logs) for name in deploy.READERS}
        self.victim = Function(args.bootstrap, "patch", variables("patch", self.gallows.url("hub"), self.gallows.url("world")), args.logs, self.gallows)
        self.plans = Plans((240, 420))
        self.after = self.steps = 0
        self.deaths, self.held, self.stale, self.failures = [], [], [], []

    def environment(self, name, endpoint, world, policy):
        policy = pathlib.Path(policy)
        variables = deploy.environment_of(name, self.urls, "", "", "", world, policy.name, {"TIDEGATE_SWEEP_SECS": "0", "LAMBDA_TASK_ROOT": str(policy.parent)})
        variables |= {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": deploy.HUB, "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": self.hub.region}
        inherited = ("LD_PRELOAD", "TIDEGATE_RIG_CLOCK", "TMPDIR")
        return variables | {"AWS_EC2_METADATA_DISABLED": "true"} | {key: os.environ[key] for key in inherited if key in os.environ}

    def ask_world(self, path):
        with urllib.request.urlopen(f"{self.world}/_world/{path}", timeout=60) as answer:
            return json.load(answer)

    # The event source.

    def receive(self, name):
        answer = self.hub.sqs.receive_message(QueueUrl=self.urls[name], MaxNumberOfMessages=10, AttributeNames=["All"])
        return answer.get("Messages", [])

    def delete(self, name, messages):
        if messages:
            entries = [{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)]
            self.hub.sqs.delete_message_batch(QueueUrl=self.urls[name], Entries=entries)

    @staticmethod
    def record(message):
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": {name: value for name, value in message.get("Attributes", {}).items()},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
        }

    def hand_out(self, function, messages):
        """Gives those that are done."""
        answer = function.invoke([self.record(message) for message in messages])
        if answer is None:
            return []
        if "failed" in answer:
            self.failures.append({"function": function.name, "answer": answer})
            return []
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        if failed:
            self.failures.append({"function": function.name, "step": self.steps, "records": [m["Body"][:200] for m in messages if m["MessageId"] in failed]})
        return [message for message in messages if message["MessageId"] not in failed]

    def hang(self, message, kind, batch, pool, counts, sentence):
        """Hands a message to a process of its own. Gives whether it is done."""
        self.gallows.arm(sentence)
        self.victim.start()
        done = self.hand_out(self.victim, [message])
        self.victim.end()
        death, calls, held = self.gallows.death, self.gallows.calls, self.gallows.held
        self.gallows.free()
        if death is None and counts:
            self.plans.outlived(pool, calls)
        elif death:
            self.deaths.append({"batch": batch, "pool": pool, "message": kind, "calls": calls, **death})
        if held:
            self.held.append((time.time() + int(pool.split()[1]), held, batch))
        return bool(done)

    def sends(self):
        messages = self.receive("sends")
        free = []
        for message in messages:
            kind, batch = read(message["Body"])
            pool, counts, sentence = self.plans.sentence(kind, batch)
            if kind == "send install" and len(self.stale) < 20:
                self.stale.append(message["Body"])
            # Killed, it comes again at once.
            if not sentence or not self.hang(message, kind, batch, pool, counts, sentence):
                free.append(message)
            else:
                self.delete("sends", [message])
        if free:
            self.delete("sends", self.hand_out(self.functions["patch"], free))
        return len(messages)

    def settle(self):
        """Until the queues are empty."""
        moved = True
        while moved:
            moved = self.sends()
            for name in ORDER:
                if messages := self.receive(name):
                    moved += len(messages)
                    self.delete(name, self.hand_out(self.functions[READS[name]], messages))

    def events(self):
        page = self.ask_world(f"events?after={self.after}")
        self.after = page["next"]
        events = [json.dumps(numbered["event"]) for numbered in page["events"]]
        for first in range(0, len(events), 10):
            messages = [{"MessageId": f"e{first + n}", "ReceiptHandle": "-", "Body": body} for n, body in enumerate(events[first : first + 10])]
            self.hand_out(self.functions["enqueue"], messages)

    def arrive(self):
        """What was under way when its sender died arrives."""
        due = [held for held in self.held if held[0] <= time.time()]
        self.held = [held for held in self.held if held not in due]
        for _, forward, batch in due:
            status, _, said = forward()
            next(death for death in self.deaths if death["batch"] == batch)["arrived"] = {"status": status, "said": said.decode("utf-8", "replace")[:300]}

    def step(self):
        self.clock.advance(STEP_SECS)
        self.steps += 1
        self.arrive()
        self.events()
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = json.loads((deploy.ROOT / "events/samples/21-tick.json").read_text())
        self.hub.sqs.send_message(QueueUrl=self.urls["work"], MessageBody=json.dumps(event | {"time": when, "account": deploy.HUB, "region": self.hub.region}))
        self.settle()

    def standings(self):
        """Where each target stands, by the table."""
        found = {}
        for page in self.hub.dynamodb.get_paginator("scan").paginate(TableName=deploy.NAME, ConsistentRead=True):
            for item in page["Items"]:
                if item["pk"]["S"].startswith("target/") and "body" in item:
                    body = item["body"].get("S") or item["body"]["B"].decode()
                    found[item["sk"]["S"].removeprefix("target/")] = json.loads(body)["target"]["standing"]
        return found

    def is_over(self):
        if not all(host["patched"] for host in self.ask_world("hosts").values()):
            return False
        standings = self.standings()
        return all(standings.get(key, {}).get("state") == "compliant" for key in self.hosts)

    def run(self):
        over, begun = False, time.monotonic()
        while not over and time.time() - self.begun < PATIENCE_SECS:
            self.step()
            if os.environ.get("TIDEGATE_RIG_SAY"):
                said = collections.Counter(death["pool"] for death in self.deaths)
                print(f"{time.monotonic() - begun:.1f} step {self.steps} deaths {dict(said)} commands {len(self.ask_world('commands')['commands'])}", file=sys.stderr, flush=True)
            over = self.is_over()
        # SQS delivers at least once: an old message comes once more when all is over.
        late = [{"MessageId": f"s{n}", "ReceiptHandle": "-", "Body": body, "Attributes": {"MessageGroupId": "1"}} for n, body in enumerate(self.stale)]
        self.hand_out(self.functions["patch"], late[:10])
        self.settle()
        report = {
            "over": over,
            "steps": self.steps,
            "clock_secs": round(time.time() - self.begun),
            "took_secs": round(time.monotonic() - begun, 1),
            "deaths": self.deaths,
            "whole": self.plans.whole,
            "pools": self.plans.of,
            "failures": self.failures,
            "standings": self.standings(),
            "hosts": self.ask_world("hosts"),
            "commands": self.ask_world("commands")["commands"],
            "counts": self.ask_world("counts")["commands"],
        }
        for function in (*self.functions.values(), self.victim):
            function.end()
        return report


def main():
    parser = argparse.ArgumentParser(description="kills the function that sends commands at each of its steps")
    for name in ("endpoint", "world", "bootstrap", "policy", "clock", "logs"):
        parser.add_argument(f"--{name}", required=True)
    json.dump(Run(parser.parse_args()).run(), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
