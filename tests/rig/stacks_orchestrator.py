"""Executions of the state machine as hub.yaml deploys it: started, watched and stopped as the original documents' users do.

    stacks_orchestrator.py --endpoint URL --world URL --zip FILE --clock FILE

Stacks and story are those of stacks_end_to_end.py; what is started are the examples of examples/run-inputs, word for word. Prints what
describe-execution says of each, and what the table holds then, as JSON.
"""

import json
import sys
import time

import deploy
from deploy_templates import EXTERNAL_ID, HUB, REGION
from stacks_end_to_end import begun

# Those that the example of two waves names.
SPOKES = [
    ("111122223333", REGION, EXTERNAL_ID),
    ("444455556666", REGION, EXTERNAL_ID),
    ("444455556666", "us-west-2", EXTERNAL_ID),
    (HUB, REGION, EXTERNAL_ID),
    (HUB, "us-west-2", EXTERNAL_ID),
]
STEPS_MAX = 150


def example(name):
    return (deploy.ROOT / f"examples/run-inputs/{name}.json").read_text()


class Orchestrator:
    def __init__(self, run, machine):
        self.run, self.machine, self.sfn = run, machine, run.hub.stepfunctions

    def start(self, name, text):
        arn = self.sfn.start_execution(stateMachineArn=self.machine, name=name, input=text)["executionArn"]
        # Its ask is on the queue, or it has failed, before anything else goes on.
        for _ in range(100):
            if self.waiting() or self.sfn.describe_execution(executionArn=arn)["status"] != "RUNNING":
                break
            time.sleep(0.05)
        self.run.settle()
        return arn

    def waiting(self):
        return [item for item in self.items() if item["pk"]["S"] == "~executions"]

    def items(self):
        pages = self.run.hub.dynamodb.get_paginator("scan").paginate(TableName=self.run.made["table"], ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def told(self, arn):
        said = self.sfn.describe_execution(executionArn=arn)
        told = {key: said[key] for key in ("status", "error", "cause") if said.get(key)}
        return told | ({"output": json.loads(said["output"])} if said.get("output") else {})

    def until(self, arn, statuses=("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")):
        steps = 0
        while self.told(arn)["status"] not in statuses and steps < STEPS_MAX:
            self.run.step()
            steps += 1
        return self.told(arn) | {"steps": steps}

    def campaigns(self):
        """Phases of all campaigns, by their ids, without what differs from one run to the next."""
        found = {}
        for item in self.items():
            if item["pk"]["S"].startswith("campaign/") and "body" in item:
                body = item["body"].get("S") or item["body"]["B"].decode()
                campaign = json.loads(body)["campaign"]
                found[campaign["id"]] = campaign["phase"] | {"bulk": "bulk" in campaign}
        return found


def logs(hub, group):
    try:
        return list(hub.logs.get_paginator("filter_log_events").paginate(logGroupName=group))
    except hub.logs.exceptions.ResourceNotFoundException:
        return []


def installs(run):
    return [command for command in run.ask_world("commands")["commands"] if command["operation"] == "Install"]


def main():
    run, outputs, _ = begun(sys.argv[1:], SPOKES, {"MonthlyRunInput": example("canary-small")})
    orchestrator = Orchestrator(run, outputs["StateMachineArn"])
    said = {"name": outputs["StateMachineArn"].split(":")[-1]}
    monthly = run.hub.scheduler.get_schedule(Name="ec2patch-monthly")
    said["monthly"] = {
        "when": monthly["ScheduleExpression"],
        "flexible": monthly["FlexibleTimeWindow"]["Mode"],
        "starts": monthly["Target"]["Arn"] == outputs["StateMachineArn"],
        "as": monthly["Target"]["RoleArn"].split("/")[-1],
        "with_the_example": monthly["Target"]["Input"] == example("canary-small"),
    }

    # What is wrong with an input is said at once, and nothing is begun.
    said["refused"] = orchestrator.until(orchestrator.start("manual-patch-0", '{"waves": [], "accounts": ["111122223333"]}'))

    # A dry run shows, and sends nothing.
    dry = json.dumps(json.loads(example("canary-small")) | {"dryRun": True})
    said["dry"] = orchestrator.until(orchestrator.start("dryrun-test-1", dry)) | {"installs": len(installs(run))}

    # Stopped while people are asked: nothing of it is ever sent.
    stopped = orchestrator.start("ec2patch-20261122-1", example("canary-small"))
    open_before = len(orchestrator.waiting())
    orchestrator.sfn.stop_execution(executionArn=stopped, error="operator", cause="wrong window")
    for _ in range(3):
        run.step()
    said["stopped"] = orchestrator.told(stopped) | {"waiting": [open_before, len(orchestrator.waiting())], "campaigns": orchestrator.campaigns(), "installs": len(installs(run))}

    # Through its waves to its end.
    whole = orchestrator.start("manual-patch-1", example("multi-wave-staggered"))
    said["running"] = orchestrator.told(whole)
    (waiting,) = orchestrator.waiting()
    secret = json.loads(waiting["body"]["S"])["token"]
    kept_in = [item["pk"]["S"] for item in orchestrator.items() if secret in json.dumps(item, default=str)]
    said["whole"] = orchestrator.until(whole)
    said["commands"] = [{key: command[key] for key in ("account", "region", "operation", "instances")} for command in installs(run)]
    said["waiting"] = len(orchestrator.waiting())

    # A token is in the table while it is waited for, and nowhere else, then or later.
    report = run.report(0, True)
    groups = [f"/aws/lambda/{name}" for name in run.made["functions"].values()]
    logged = [event["message"] for group in groups for page in logs(run.hub, group) for event in page["events"]]
    places = [item["pk"]["S"] for item in orchestrator.items() if secret in json.dumps(item, default=str)]
    said |= {"errors": report["errors"], "trouble": report["trouble"], "refused_records": report["refused"]}
    said["token"] = {"length": len(secret), "kept_in": kept_in, "left_in": places + [line for line in logged if secret in line]}
    json.dump(said, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
