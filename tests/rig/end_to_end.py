"""The whole system, run until every finding has ended: deployed into the rig, fed by the simulated organization, approved by people.

    end_to_end.py --endpoint URL --world URL --zip FILE --clock FILE

prints what happened as JSON; the test asserts on it. Nothing is judged here but the end: it goes on until each instance that can be
reached is patched by the world's own truth and compliant in the table, or until its patience is over. Time is the rig's clock: this
program moves it, a minute at a time, when nothing is under way any more, and ticks as the schedule would.
"""

import argparse
import collections
import http.client
import json
import os
import pathlib
import re
import struct
import sys
import time
import urllib.parse
import urllib.request

import deploy
from clients import Account
from courier import Courier

STEP_SECS = 60
# Of the rig's clock. Then whatever is not done is never done.
PATIENCE_SECS = 6 * 3600
# Of the machine's clock: how long one step's work may take.
SETTLE_SECS = 60
QUEUES = (*deploy.STANDARD, *deploy.FIFO)
APPROVERS = ("dana", "kim")
POISON = "{not json"


class Clock:
    """The file that every process of the test reads its time from."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR)

    def advance(self, secs):
        ahead = struct.unpack("=q", os.pread(self.file, 8, 0))[0]
        os.pwrite(self.file, struct.pack("=q", ahead + secs), 0)


class Run:
    """`made` is what was deployed: the names of table and functions, the URLs of queues."""

    def __init__(self, endpoint, world, clock, made, courier):
        self.endpoint, self.world, self.clock, self.made, self.courier = endpoint, world, clock, made, courier
        self.hub = courier.hub
        self.begun, self.steps, self.longest = time.time(), 0, 0.0
        self.notices = {"operators": [], "approvers": []}
        self.approved, self.trouble = [], []

    # What is true.

    def ask_world(self, path):
        with urllib.request.urlopen(f"{self.world}/_world/{path}", timeout=60) as answer:
            return json.load(answer)

    def standings(self):
        """Where each target stands, by the table."""
        found = {}
        pages = self.hub.dynamodb.get_paginator("scan").paginate(TableName=self.made["table"], ConsistentRead=True)
        for page in pages:
            for item in page["Items"]:
                place = item["pk"]["S"]
                if place.startswith("target/") and "body" in item:
                    body = item["body"].get("S") or item["body"]["B"].decode()
                    target = json.loads(body)
                    found[item["sk"]["S"].removeprefix("target/")] = target["target"]
        return found

    # What moves.

    def send(self, queue, *bodies):
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        answer = self.hub.sqs.send_message_batch(QueueUrl=self.made["queues"][queue], Entries=entries)
        if answer.get("Failed"):
            raise SystemExit(f"{queue} did not take {answer['Failed']}")

    def under_way(self):
        """Messages that wait for their reader, and messages that a reader has."""
        waiting = held = 0
        for queue in QUEUES:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            counts = self.hub.sqs.get_queue_attributes(QueueUrl=self.made["queues"][queue], AttributeNames=names)["Attributes"]
            waiting += int(counts[names[0]])
            held += int(counts[names[1]])
        return waiting, held

    def settle(self):
        """Until the queues are empty. A message that failed is held until its time-out, which only the clock brings nearer."""
        begun = time.monotonic()
        last, since = None, begun
        while True:
            now, counts = time.monotonic(), self.under_way()
            if counts == (0, 0):
                break
            if counts != last:
                last, since = counts, now
            # A function that is throttled waits some seconds by itself.
            if counts[0] == 0 and now - since > 25:
                self.trouble.append({"step": self.steps, "held": counts[1]})
                break
            if now - begun > SETTLE_SECS:
                self.trouble.append({"step": self.steps, "not settled": counts})
                break
            time.sleep(0.1)
        self.longest = max(self.longest, time.monotonic() - begun)

    def tick(self):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = json.loads((deploy.ROOT / "events/samples/21-tick.json").read_text())
        self.send("work", json.dumps(event | {"time": when, "account": deploy.HUB, "region": self.hub.region}))

    def drain(self, queue):
        url = self.made["queues"][queue]
        while messages := self.hub.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                self.hub.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                attributes = {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}
                yield {"body": message["Body"], "attributes": attributes, "system": message.get("Attributes", {})}

    def step(self):
        self.clock.advance(STEP_SECS)
        self.steps += 1
        # The world delivers within moments of its own: what it has to say is asked for after it looked at the clock.
        self.courier.run()
        self.tick()
        self.settle()
        for queue, heard in self.notices.items():
            for message in self.drain(queue):
                heard.append(message)
                if queue == "approvers":
                    self.approve(message)

    # People.

    def browse(self, method, link, form=None):
        """As a browser does that was given this link: the console answers at the endpoint, under its own name."""
        url = urllib.parse.urlsplit(link)
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.endpoint).netloc, timeout=60)
        headers = {"Host": url.netloc}
        body = None
        if form:
            body = urllib.parse.urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, f"{url.path}?{url.query}" if url.query else url.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def approve(self, message):
        """Whoever is in the quorum opens the link, reads what the page shows, and says yes to exactly that."""
        notice = json.loads(message["body"])
        link, person = notice.get("link"), notice.get("approver")
        if not link:
            self.trouble.append({"step": self.steps, "no link in": notice})
            return
        looked, page = self.browse("GET", link)
        digest = re.search(r'name="digest" value="([0-9a-f]{64})"', page)
        done = {"link": link, "person": person, "looked": looked, "digest": digest and digest.group(1)}
        if person in APPROVERS and digest:
            form = {"token": link.rsplit("=", 1)[1], "digest": digest.group(1), "word": "approve"}
            where = link.split("?")[0]
            done["decided"] = self.browse("POST", where, form)[0]
            # Once is once.
            done["again"] = self.browse("POST", where, form)[0]
        self.approved.append(done)

    # The story.

    def begin(self):
        """The first findings come as one batch: each twice, and a record that nobody can read among them."""
        events = []
        while not events and self.steps < 30:
            self.clock.advance(STEP_SECS)
            self.steps += 1
            time.sleep(0.2)
            events = self.courier.fetch()
        bodies = [json.dumps(event) for event in events[:4] for _ in range(2)]
        self.send("events", *bodies, POISON)
        for event in events[4:]:
            self.courier.deliver(event)
        self.settle()
        return len(bodies)

    def is_over(self, reachable):
        # The last word of a campaign is that it has ended: proven to the last wave, and watched.
        if not any(message["attributes"].get("kind") == "campaign_ended" for message in self.notices["operators"]):
            return False
        hosts, standings = self.ask_world("hosts"), self.standings()
        return all(hosts[key]["patched"] and standings.get(key, {}).get("standing", {}).get("state") == "compliant" for key in reachable)

    def until_over(self, accounts):
        """Until every instance of these accounts has ended, or patience has. Gives the report."""
        reachable = [key for key in self.ask_world("hosts") if key.split("/")[0] in accounts]
        duplicates, over = self.begin(), False
        while not over and time.time() - self.begun < PATIENCE_SECS:
            self.step()
            over = self.is_over(reachable)
        return self.report(duplicates, over)

    def report(self, duplicates, over):
        logs, names = collections.defaultdict(list), collections.Counter()
        for function in deploy.FUNCTIONS:
            group = f"/aws/lambda/{self.made['functions'][function]}"
            try:
                pages = list(self.hub.logs.get_paginator("filter_log_events").paginate(logGroupName=group))
            except self.hub.logs.exceptions.ResourceNotFoundException:
                continue
            for event in (event for page in pages for event in page["events"]):
                names[function] += event["message"].startswith("START ")
                if "ERROR" in event["message"] or "Task timed out" in event["message"]:
                    logs[function].append(event["message"].strip())
        refused = {queue: list(self.drain(queue)) for queue in ("refused", "refused-fifo")}
        return {
            "over": over,
            "clock_secs": round(time.time() - self.begun),
            "steps": self.steps,
            "longest_step_secs": round(self.longest, 1),
            "duplicates_sent": duplicates,
            "refused": refused,
            "notices": self.notices,
            "approvals": self.approved,
            "standings": self.standings(),
            "hosts": self.ask_world("hosts"),
            "commands": self.ask_world("commands")["commands"],
            "counts": self.ask_world("counts"),
            "courier": self.courier.report(),
            "invocations": names,
            "errors": logs,
            "trouble": self.trouble,
        }


def main():
    parser = argparse.ArgumentParser(description="runs the deployed system until every finding has ended")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--world", required=True)
    parser.add_argument("--zip", required=True, type=pathlib.Path)
    parser.add_argument("--clock", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in args.set)
    world = args.world.rstrip("/")
    made = deploy.deploy(args.endpoint, args.zip.read_bytes(), world, "policy.toml", settings)
    run = Run(args.endpoint, world, Clock(args.clock), made, Courier(Account(args.endpoint, deploy.HUB), world))
    json.dump(run.until_over(deploy.SPOKES), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
