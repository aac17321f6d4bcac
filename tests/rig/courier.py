"""Carries the simulated organization's events to the hub, as EventBridge would: by the rules that are deployed.

No emulator takes events of `aws.*` sources and keeps the account over a cross-account hop, so the hop is made here. What goes where
is not decided here: rules and targets are read from the hub, and its own TestEventPattern says what matches.

    courier.py --endpoint URL --world URL [--once]
"""

import argparse
import json
import random
import sys
import time
import urllib.request

from clients import Account
from deploy import HUB


class Courier:
    """`lose` and `repeat` are shares of the deliveries: EventBridge delivers at least once where it delivers, and Config and Systems
    Manager publish best effort. The world has faults of its own; these are faults of the way."""

    def __init__(self, hub, world, lose=0.0, repeat=0.0, seed=1):
        self.hub, self.world = hub, world.rstrip("/")
        self.lose, self.repeat, self.draw = lose, repeat, random.Random(seed)
        self.after = 0
        self.seen = self.delivered = self.lost = self.repeated = self.unmatched = 0
        self.rules = list(self._deployed())

    def _deployed(self):
        """Patterns with the URLs of the queues that they lead to."""
        for page in self.hub.events.get_paginator("list_rules").paginate():
            for rule in page["Rules"]:
                if rule["State"] != "ENABLED" or "EventPattern" not in rule:
                    continue
                for target in self.hub.events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                    transformed = target.keys() & {"Input", "InputPath", "InputTransformer"}
                    service, name = target["Arn"].split(":")[2], target["Arn"].split(":")[5]
                    if service != "sqs" or transformed:
                        raise SystemExit(f"rule {rule['Name']}: this courier delivers whole events to queues, not {target}")
                    yield rule["EventPattern"], self.hub.sqs.get_queue_url(QueueName=name)["QueueUrl"]

    def fetch(self):
        """Events that the world has emitted since the last time."""
        with urllib.request.urlopen(f"{self.world}/_world/events?after={self.after}", timeout=60) as answer:
            page = json.load(answer)
        self.after = page["next"]
        self.seen += len(page["events"])
        return [numbered["event"] for numbered in page["events"]]

    def deliver(self, event):
        """To each target of each rule that matches. Gives how many messages that were."""
        body = json.dumps(event)
        matched = sent = 0
        for pattern, url in self.rules:
            if not self.hub.events.test_event_pattern(EventPattern=pattern, Event=body)["Result"]:
                continue
            matched += 1
            if self.draw.random() < self.lose:
                self.lost += 1
                continue
            again = self.draw.random() < self.repeat
            self.repeated += again
            for _ in range(1 + again):
                self.hub.sqs.send_message(QueueUrl=url, MessageBody=body)
                sent += 1
        self.unmatched += not matched
        self.delivered += sent
        return sent

    def run(self):
        """Everything that is there. Gives how many messages were delivered."""
        return sum(self.deliver(event) for event in self.fetch())

    def report(self):
        return {name: getattr(self, name) for name in ("seen", "delivered", "lost", "repeated", "unmatched")}


def main():
    parser = argparse.ArgumentParser(description="carries the simulated organization's events to the hub")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--world", required=True)
    parser.add_argument("--once", action="store_true", help="what is there, then end")
    args = parser.parse_args()
    courier = Courier(Account(args.endpoint, HUB), args.world)
    while True:
        courier.run()
        if args.once:
            break
        time.sleep(1)
    json.dump(courier.report(), sys.stdout)


if __name__ == "__main__":
    main()
