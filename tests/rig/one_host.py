"""What `tidegate serve --cloud aws` needs in an empty account of the rig, and the way of its events.

    one_host.py make --endpoint URL                              makes queues, rules, a user and the spokes' roles; prints them as JSON
    one_host.py run --endpoint URL --world URL --clock FILE      carries events and moves the clock until every instance is patched
"""

import argparse
import json
import sys
import time
import urllib.request

import deploy
from clients import Account
from courier import Courier
from end_to_end import Clock

# Of the rig's clock, for each second of the machine's.
STEP_SECS = 60
# Of the machine's clock: then whatever is not done is never done.
PATIENCE_SECS = 150


def make(endpoint):
    hub = Account(endpoint, deploy.HUB)
    attributes = {"VisibilityTimeout": "30"}
    urls = {name: hub.sqs.create_queue(QueueName=deploy.queue_name(name), Attributes=attributes)["QueueUrl"] for name in ("events", "refused", "parked")}
    deploy.make_rules(hub, urls)
    user = hub.iam.create_user(UserName="tidegate")["User"]["Arn"]
    allowed = deploy.policy(
        deploy.statement("sts:*", "*"),
        # On AWS a batch needs the permission of its parts; the rig asks for one by the batch's own name.
        deploy.statement([f"sqs:{call}" for call in ("ReceiveMessage", "DeleteMessage*", "SendMessage", "ChangeMessageVisibility*")], "*"),
    )
    hub.iam.put_user_policy(UserName="tidegate", PolicyName="small", PolicyDocument=allowed)
    key = hub.iam.create_access_key(UserName="tidegate")["AccessKey"]
    for account in deploy.SPOKES:
        deploy.make_spoke_role(Account(endpoint, account), {function: user for function in deploy.ENTERS_SPOKES})
    return {"queues": urls, "key": key["AccessKeyId"], "secret": key["SecretAccessKey"], "external_id": deploy.EXTERNAL_ID}


def run(endpoint, world, clock):
    def ask(path):
        with urllib.request.urlopen(f"{world}/_world/{path}", timeout=60) as answer:
            return json.load(answer)

    courier, clock, begun = Courier(Account(endpoint, deploy.HUB), world), Clock(clock), time.monotonic()
    over = False
    while not over and time.monotonic() - begun < PATIENCE_SECS:
        clock.advance(STEP_SECS)
        courier.run()
        time.sleep(1)
        over = all(host["patched"] for host in ask("hosts").values())
    return {"over": over, "secs": round(time.monotonic() - begun), "hosts": ask("hosts"), "counts": ask("counts"), "courier": courier.report()}


def main():
    parser = argparse.ArgumentParser(description="an account for one host that patches a small estate")
    parser.add_argument("what", choices=("make", "run"))
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--world")
    parser.add_argument("--clock")
    args = parser.parse_args()
    done = make(args.endpoint) if args.what == "make" else run(args.endpoint, args.world, args.clock)
    json.dump(done, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
