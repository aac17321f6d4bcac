"""The whole system as its templates deploy it, run until every finding has ended.

    stacks_end_to_end.py --endpoint URL --world URL --zip FILE --clock FILE

hub.yaml in the hub, spoke.yaml in three spokes (in the first in two Regions), in one more with an external id that is not the hub's,
and in an account of no organization that knows the right one. The story is that of end_to_end.py. Then whoever has no right to asks
for what it may not have, and a function loses a right. Prints what happened as JSON; the test asserts on it.
"""

import argparse
import json
import pathlib
import sys
import time

from botocore.exceptions import ClientError

import deploy
from clients import Account
from deploy_templates import EXTERNAL_ID, FOREIGN, HUB, REGION, SPOKES
from deploy_templates import deploy as deploy_stack
from end_to_end import POISON, STEP_SECS, Clock, Run
from stack_courier import StackCourier
from templates import Template

# Its stack was deployed with an external id that is not the hub's.
WRONG = "444455556666"
SECOND_REGION = "eu-west-1"
# What the emulator does not serve well enough is the simulated organization's.
SERVED_BY_THE_WORLD = ("SSM", "CONFIG_SERVICE", "ORGANIZATIONS", "RESOURCE_GROUPS_TAGGING_API")
# Longer than a message of the events queue is hidden.
HIDDEN_SECS = 400


def deploy_stacks(endpoint, world, code, spokes, more):
    """The hub, with these parameters beside its own, and a stack for each `(account, Region, external id)`; the first of an account is in the Region of the roles. Gives the
    hub, its outputs, the organization, and what was changed for the emulator."""
    hub = Account(endpoint, HUB, REGION)
    hub.s3.create_bucket(Bucket="artifacts")
    hub.s3.put_object(Bucket="artifacts", Key="lambda.zip", Body=code)
    common = {"OrganizationId": hub.organizations.describe_organization()["Organization"]["Id"]}
    own = {"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip", "CrossAccountExternalId": EXTERNAL_ID, "PolicyName": "policy.toml", "AggregatorName": "organization"}
    endpoints = {f"AWS_ENDPOINT_URL_{service}": world for service in SERVED_BY_THE_WORLD}
    outputs, changed, _ = deploy_stack(hub, "hub", common | own | more, endpoints)
    for account, region, external_id in spokes:
        spoke = {"HubAccountId": HUB, "HubRegion": REGION, "ExternalId": external_id, "RolesRegion": REGION, "TakeBackups": "true"}
        _, there, _ = deploy_stack(Account(endpoint, account, region), "spoke", common | spoke)
        changed += [line for line in there if line not in changed]
    return hub, outputs, common["OrganizationId"], changed


def subscribe(hub, topic, queues):
    """People's queues, by the attributes that the templates' own subscriptions ask for."""
    for queue, kinds in {"operators": None, "approvers": ["ApprovalRequest"]}.items():
        arn = hub.arn("sqs", f"people-{queue}")
        queues[queue] = hub.sqs.create_queue(QueueName=f"people-{queue}")["QueueUrl"]
        deploy.let_in(hub, queues[queue], arn, "sns.amazonaws.com", [topic])
        wanted = {"FilterPolicy": json.dumps({"NotificationType": kinds})} if kinds else {}
        hub.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"} | wanted)


def said(call):
    """What a call is answered with: `done`, or the error's code."""
    try:
        call()
        return "done"
    except ClientError as error:
        return error.response["Error"]["Code"]


class StackRun(Run):
    def begin(self):
        """As there, but nothing that AWS says is put into a queue by hand: each event goes its way by the deployed rules, twice."""
        events = []
        while not events and self.steps < 30:
            self.clock.advance(STEP_SECS)
            self.steps += 1
            time.sleep(0.2)
            events = self.courier.fetch()
        for event in events:
            self.courier.deliver(event)
            self.courier.deliver(event)
        self.send("events", POISON)
        self.settle()
        return len(events)


def strangers(endpoint, hub, run, event):
    """Those who have no right to: an account of no organization, by the bus and by the spokes' roles."""
    foreign = Account(endpoint, FOREIGN)
    before = len(run.courier.kept_out)
    delivered = run.courier.deliver(event | {"account": FOREIGN})
    answers = {"event": {"delivered": delivered, "kept_out": run.courier.kept_out[before:]}}
    for role in ("PatchExecRole", "PatchVerifyRole"):
        asked = {"RoleArn": f"arn:aws:iam::{SPOKES[0]}:role/{role}", "RoleSessionName": "tidegate", "ExternalId": EXTERNAL_ID}
        answers[f"foreign account as {role}"] = said(lambda asked=asked: foreign.sts.assume_role(**asked))
        answers[f"hub's administrator as {role}"] = said(lambda asked=asked: hub.sts.assume_role(**asked))
    return answers


def without_a_right(hub, run, event):
    """`enqueue` loses the table, is given an event, and gets the table back."""
    queue, role, clock = run.made["queues"]["events"], {"RoleName": "ec2patch-enqueue", "PolicyName": "enqueue"}, run.clock
    whole = hub.iam.get_role_policy(**role)["PolicyDocument"]
    less = whole | {"Statement": [statement for statement in whole["Statement"] if statement["Sid"] != "Table"]}
    begun = int(time.time() * 1000)
    hub.iam.put_role_policy(**role, PolicyDocument=json.dumps(less))
    run.send("events", json.dumps(event))
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def held():
        return [int(hub.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"][name]) for name in names]

    def log():
        pages = hub.logs.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/ec2patch-enqueue", startTime=begun)
        return [event["message"] for page in pages for event in page["events"]]

    for _ in range(200):
        refused = [line.strip() for line in log() if "AccessDenied" in line or "not authorized" in line]
        if refused and held() == [0, 1]:
            break
        time.sleep(0.1)
    without = held()
    hub.iam.put_role_policy(**role, PolicyDocument=json.dumps(whole))
    clock.advance(HIDDEN_SECS)
    for _ in range(200):
        if held() == [0, 0]:
            break
        time.sleep(0.1)
    return {"said": refused[:1], "waiting_and_held": without, "then": held(), "refused": [message["body"] for message in run.drain("refused")]}


def write_report(hub, bucket):
    """The evidence, by the function's own role."""
    answer = hub.lambda_.invoke(FunctionName="ec2patch-report", Payload="{}")
    if answer.get("FunctionError"):
        return [answer["Payload"].read().decode()]
    return sorted(object["Key"].split("/")[-1] for object in hub.s3.list_objects_v2(Bucket=bucket).get("Contents", []))


def executions(run, spokes):
    """The runbooks that ran, by the simulated organization's own word."""
    found = []
    for account, region, _ in spokes:
        asked = Account(run.world, account, region).ssm
        every = asked.describe_automation_executions()["AutomationExecutionMetadataList"]
        for execution in (execution for execution in every if "ParentAutomationExecutionId" not in execution):
            whole = asked.get_automation_execution(AutomationExecutionId=execution["AutomationExecutionId"])["AutomationExecution"]
            instances = [value for target in whole["Targets"] for value in target["Values"]]
            found.append({"document": whole["DocumentName"], "instances": instances, "status": whole["AutomationExecutionStatus"]})
    return found


def begun(arguments, spokes, more=None):
    """A story that can be told, of stacks that are deployed: with the hub's outputs and what was changed for the emulator."""
    parser = argparse.ArgumentParser(description="runs the system as its templates deploy it")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--world", required=True)
    parser.add_argument("--zip", required=True, type=pathlib.Path)
    parser.add_argument("--clock", required=True)
    args = parser.parse_args(arguments)
    world = args.world.rstrip("/")
    hub, outputs, organization, changed = deploy_stacks(args.endpoint, world, args.zip.read_bytes(), spokes, more or {})
    names = {queue: f"ec2patch-{queue}" for queue in ("events", "work", "notices", "refused")} | {queue: f"ec2patch-{queue}.fifo" for queue in ("sends", "spokes", "refused-fifo")}
    queues = {queue: hub.sqs.get_queue_url(QueueName=name)["QueueUrl"] for queue, name in names.items()}
    subscribe(hub, outputs["AlertsTopicArn"], queues)
    template = Template("hub", {"OrganizationId": organization}, {"AWS::AccountId": HUB, "AWS::Region": REGION})
    statement = template.resources["BusTakesTheOrganization"]["Properties"]["Statement"]
    courier = StackCourier(hub, world, organization, {HUB, *(account for account, _, _ in spokes if account != FOREIGN)}, statement)
    made = {"table": outputs["TableName"], "queues": queues, "functions": {function: f"ec2patch-{function}" for function in deploy.FUNCTIONS}}
    return StackRun(args.endpoint, world, Clock(args.clock), made, courier), outputs, changed


def main():
    spokes = [(account, REGION, EXTERNAL_ID) for account in (*SPOKES, FOREIGN)]
    spokes += [(SPOKES[0], SECOND_REGION, EXTERNAL_ID), (WRONG, REGION, "not-the-hubs-external-id")]
    run, outputs, changed = begun(sys.argv[1:], spokes)
    hub = run.hub
    report = run.until_over(SPOKES)
    event = json.loads((deploy.ROOT / "events/samples/01-config-noncompliant-standalone-rule.json").read_text())
    report |= {
        "changed": changed,
        "executions": executions(run, [spoke for spoke in spokes if spoke[0] != FOREIGN]),
        "strangers": strangers(run.endpoint, hub, run, event | {"region": REGION}),
        "without_a_right": without_a_right(hub, run, event | {"account": SPOKES[0], "region": REGION}),
        "evidence": write_report(hub, outputs["EvidenceBucketName"]),
    }
    json.dump(report, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
