"""Deploys hub.yaml, and spoke.yaml in three accounts, by CloudFormation into ministack, and asks its IAM about every role.

    deploy_templates.py --endpoint URL

The functions are `probe.py` here, each with its own deployed role: it makes all calls of handlers/lambda/rights.toml, and exactly
those that the function's part of it has may pass. Then an event of a spoke is carried by the rules that are deployed, to the queue
that is deployed. Prints what was done, and what was wrong, as JSON.
"""

import argparse
import io
import json
import pathlib
import sys
import time
import zipfile

from clients import Account
from emulated import for_the_emulator
from templates import ROOT, Template, read

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

HUB, SPOKES, FOREIGN = "123456789012", ("111122223333", "222233334444", "333344445555"), "999988887777"
REGION, EXTERNAL_ID = "us-east-1", "tidegate-rig-external-id"
RIGHTS = tomllib.loads((ROOT / "handlers/lambda/rights.toml").read_text())
# There is nothing there to be asked about: whoever hears this was let in.
LET_IN = {"done", "ExecutionDoesNotExist", "TaskDoesNotExist"}
DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AccessDeniedError"}


def probe_zip():
    """`bootstrap` is this Python, since the emulator runs functions as processes of this machine."""
    body = f"#!/bin/sh\nexec {sys.executable} -B {pathlib.Path(__file__).with_name('probe.py')}\n"
    file, info = io.BytesIO(), zipfile.ZipInfo("bootstrap")
    info.external_attr = 0o755 << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, body)
    return file.getvalue()


def deploy(account, name, parameters, endpoints=None):
    """Creates a stack of this template. Gives its outputs, what was changed for the emulator, and what was made."""
    template, changed = for_the_emulator(read(name), account.region, endpoints)
    stack = f"ec2patch-{name}"
    # The hub is larger than a template in a request may be, as it is on AWS.
    bucket = f"templates-{account.id}-{account.region}-{name}"
    place = {} if account.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": account.region}}
    account.s3.create_bucket(Bucket=bucket, **place)
    account.s3.put_object(Bucket=bucket, Key=f"{name}.json", Body=json.dumps(template))
    account.cloudformation.create_stack(
        StackName=stack,
        TemplateURL=f"{account.endpoint}/{bucket}/{name}.json",
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    for _ in range(120):
        (described,) = account.cloudformation.describe_stacks(StackName=stack)["Stacks"]
        if not described["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.5)
    if described["StackStatus"] != "CREATE_COMPLETE":
        events = account.cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
        why = [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in events if event["ResourceStatus"].endswith("FAILED")]
        raise SystemExit(f"{stack} in {account.id}: {described['StackStatus']}: {described.get('StackStatusReason')} {why}")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    resources = account.cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    return outputs, changed, {resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "") for resource in resources}


def key(pk):
    return {"pk": {"S": pk}, "sk": {"S": "."}}


def calls(hub, bucket, topic, queues):
    """Each call of a function, as one that would do no harm."""
    table = "ec2patch"
    made = {
        "dynamodb:BatchGetItem": ("dynamodb", "batch_get_item", {"RequestItems": {table: {"Keys": [key("probe")]}}}),
        "dynamodb:BatchWriteItem": ("dynamodb", "batch_write_item", {"RequestItems": {table: [{"DeleteRequest": {"Key": key("probe")}}]}}),
        "dynamodb:PutItem": ("dynamodb", "put_item", {"TableName": table, "Item": key("probe")}),
        "dynamodb:TransactWriteItems": (
            "dynamodb",
            "transact_write_items",
            {"TransactItems": [{"Put": {"TableName": table, "Item": key("probe")}}, {"ConditionCheck": {"TableName": table, "Key": key("other"), "ConditionExpression": "attribute_not_exists(pk)"}}]},
        ),
        "dynamodb:UpdateItem": ("dynamodb", "update_item", {"TableName": table, "Key": key("probe")}),
        "dynamodb:Scan": ("dynamodb", "scan", {"TableName": table, "Limit": 1}),
        "organizations:ListRoots": ("organizations", "list_roots", {}),
        "s3:PutObject": ("s3", "put_object", {"Bucket": bucket, "Key": "reports/2026/11/22/probe", "Body": "x"}),
        "sns:Publish": ("sns", "publish", {"TopicArn": topic, "Message": "probe"}),
        "dynamodb:DescribeTable": ("dynamodb", "describe_table", {"TableName": table}),
        "states:DescribeExecution": ("stepfunctions", "describe_execution", {"executionArn": hub.arn("states", "execution:ec2patch-orchestrator:probe")}),
        "states:SendTaskSuccess": ("stepfunctions", "send_task_success", {"taskToken": "probe", "output": "{}"}),
        "states:SendTaskFailure": ("stepfunctions", "send_task_failure", {"taskToken": "probe"}),
    }
    # Which index a function may query, and which queue it may send to, is asked of each.
    for index, names in {"due": ("due_p", "S"), "journal": ("day_p", "S")}.items():
        made[f"index {index}"] = (
            "dynamodb",
            "query",
            {"TableName": table, "IndexName": index, "KeyConditionExpression": "#p = :p", "ExpressionAttributeNames": {"#p": names[0]}, "ExpressionAttributeValues": {":p": {names[1]: "x"}}},
        )
    made["table query"] = ("dynamodb", "query", {"TableName": table, "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "x"}}})
    for name, url in queues.items():
        fifo = {"MessageGroupId": "probe", "MessageDeduplicationId": f"probe-{time.time_ns()}"} if url.endswith(".fifo") else {}
        made[f"send to {name}"] = ("sqs", "send_message", {"QueueUrl": url, "MessageBody": "probe", **fifo})
        made[f"receive from {name}"] = ("sqs", "receive_message", {"QueueUrl": url, "VisibilityTimeout": 0})
    return made


def may(function, name):
    """Whether rights.toml says so."""
    right = RIGHTS["function"][function]
    if name == "index due":
        return function == "gate"
    if name == "index journal":
        return function == "report"
    if name == "table query":
        return function in ("gate", "console", "notify")
    if name.startswith("receive from "):
        return right.get("queue") == name.removeprefix("receive from ")
    if name.startswith("send to "):
        goal = name.removeprefix("send to ")
        sends = "sqs:SendMessageBatch" in right["calls"]
        return sends and (goal in ("work", "sends", "spokes", "notices") or goal == "refused" and "queue" in right)
    return name in right["calls"]


def ask(hub, function, asked):
    answer = hub.lambda_.invoke(FunctionName=f"ec2patch-{function}", Payload=json.dumps({"calls": asked}))
    said = json.load(answer["Payload"])
    if answer.get("FunctionError") or not isinstance(said, list):
        raise SystemExit(f"the probe in ec2patch-{function} failed: {said}")
    return said


def probe_roles(hub, outputs, faults):
    """Every function makes every call."""
    queues = {name: hub.sqs.get_queue_url(QueueName=f"ec2patch-{name}{suffix}")["QueueUrl"] for name, suffix in {"events": "", "work": "", "notices": "", "refused": "", "sends": ".fifo", "spokes": ".fifo"}.items()}
    made = calls(hub, outputs["EvidenceBucketName"], outputs["AlertsTopicArn"], queues)
    asked = [{"service": service, "operation": operation, "parameters": parameters} for service, operation, parameters in made.values()]
    count = {"allowed": 0, "denied": 0}
    for function in RIGHTS["function"]:
        for name, said in zip(made, ask(hub, function, asked)):
            is_denied = said in DENIED
            count["denied" if is_denied else "allowed"] += 1
            if is_denied == may(function, name):
                faults.append(f"{function}: `{name}` gave {said}, and rights.toml says {'yes' if may(function, name) else 'no'}")
            elif not is_denied and said not in LET_IN:
                faults.append(f"{function}: `{name}` gave {said}")
    for queue in ("events", "work", "notices", "refused", "sends", "spokes"):
        hub.sqs.purge_queue(QueueUrl=queues[queue])
    return count, queues


def probe_spokes(endpoint, hub, faults):
    """Who may enter: two functions, one role each, with the external id, from the hub, of the organization."""
    looks = {
        "PatchExecRole": ("ssm", "list_commands", {}),
        "PatchVerifyRole": ("ssm", "describe_instance_information", {}),
    }
    owners = {"patch": "PatchExecRole", "reevaluate": "PatchVerifyRole"}
    entered = refused = 0
    for spoke in SPOKES:
        # In the first, everybody tries; in the others, those who may, with every external id.
        for function in RIGHTS["function"] if spoke == SPOKES[0] else owners:
            cases = []
            for role in looks:
                for external_id in (EXTERNAL_ID, "a-wrong-external-id", None) if function in owners else (EXTERNAL_ID,):
                    assume = {"RoleArn": f"arn:aws:iam::{spoke}:role/{role}", "RoleSessionName": "tidegate", **({"ExternalId": external_id} if external_id else {})}
                    cases.append((assume, owners.get(function) == role and external_id == EXTERNAL_ID))
            said = ask(hub, function, [{"service": "sts", "operation": "assume_role", "parameters": assume} for assume, _ in cases])
            for (assume, own), answer in zip(cases, said):
                entered, refused = entered + (answer == "done"), refused + (answer in DENIED)
                if (answer == "done") != own:
                    faults.append(f"{function} into {assume}: {answer}")
    # Inside: what one role may, the other may not.
    for function, role in (("patch", "PatchExecRole"), ("reevaluate", "PatchVerifyRole")):
        assume = {"RoleArn": f"arn:aws:iam::{SPOKES[0]}:role/{role}", "RoleSessionName": "tidegate", "ExternalId": EXTERNAL_ID}
        asked = [{"service": service, "operation": operation, "parameters": parameters, "as": assume} for service, operation, parameters in looks.values()]
        for other, answer in zip(looks, ask(hub, function, asked)):
            if (answer in DENIED) != (other != role):
                faults.append(f"{role} in a spoke: the call of {other} gave {answer}")
    # A foreign account, with the right external id, by a role of the same name.
    foreign = Account(endpoint, FOREIGN)
    from botocore.exceptions import ClientError

    for role in looks:
        try:
            foreign.sts.assume_role(RoleArn=f"arn:aws:iam::{SPOKES[0]}:role/{role}", RoleSessionName="tidegate", ExternalId=EXTERNAL_ID)
            faults.append(f"a foreign account entered {role}")
        except ClientError as error:
            refused += error.response["Error"]["Code"] in DENIED
    return {"entered": entered, "refused": refused}


def let_in(statement, account_org, event):
    """What the bus's own policy says, which the emulator does not take."""
    equals = statement["Condition"]["StringEquals"]
    return equals["aws:PrincipalOrgID"] == account_org and event["source"] in equals["events:source"] and event["detail-type"] in equals["events:detail-type"]


def carry(endpoint, hub, organization, faults):
    """Events of a spoke, by its deployed rules to the hub's bus, by that bus's deployed rules to the queue."""
    template = Template("hub", {"OrganizationId": organization}, {"AWS::AccountId": HUB, "AWS::Region": REGION})
    statement = template.resources["BusTakesTheOrganization"]["Properties"]["Statement"]
    bus = f"arn:aws:events:{REGION}:{HUB}:event-bus/ec2patch-hub"
    hub_rules = hub.events.list_rules(EventBusName="ec2patch-hub")["Rules"]
    goals = {rule["Name"]: [target["Arn"] for target in hub.events.list_targets_by_rule(Rule=rule["Name"], EventBusName="ec2patch-hub")["Targets"]] for rule in hub_rules}
    carried = left = 0
    for name, is_wanted in (("01-config-noncompliant-standalone-rule", True), ("09-ssm-command-invocation-success", True), ("26-config-other-resource-type", False), ("20-approval", False)):
        event = json.loads((ROOT / f"events/samples/{name}.json").read_text())
        for number in SPOKES:
            spoke = Account(endpoint, number)
            whole = json.dumps(event | {"account": number, "region": REGION})
            forwarded = []
            for rule in spoke.events.list_rules()["Rules"]:
                if spoke.events.test_event_pattern(EventPattern=rule["EventPattern"], Event=whole)["Result"]:
                    forwarded += spoke.events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            if [target["Arn"] for target in forwarded] != ([bus] if is_wanted else []):
                faults.append(f"{name} of {number} is forwarded to {[target['Arn'] for target in forwarded]}")
            if not forwarded:
                left += 1
                continue
            if forwarded[0]["RoleArn"] != spoke.arn("iam", "role/ec2patch-forward") or not let_in(statement, organization, event):
                faults.append(f"{name} of {number} is not let onto the bus")
            queues = [arn for rule in hub_rules if hub.events.test_event_pattern(EventPattern=rule["EventPattern"], Event=whole)["Result"] for arn in goals[rule["Name"]]]
            if queues != [hub.arn("sqs", "ec2patch-events")]:
                faults.append(f"{name} of {number} goes to {queues}")
            carried += 1
    return {"carried": carried, "left": left}


def main():
    parser = argparse.ArgumentParser(description="deploys the templates into ministack, and asks its IAM about every role")
    parser.add_argument("--endpoint", required=True)
    args = parser.parse_args()
    hub, faults, done = Account(args.endpoint, HUB, REGION), [], {}
    hub.s3.create_bucket(Bucket="artifacts")
    hub.s3.put_object(Bucket="artifacts", Key="probe.zip", Body=probe_zip())
    organization = hub.organizations.describe_organization()["Organization"]["Id"]
    common = {"OrganizationId": organization}
    outputs, done["changed_in_hub"], made = deploy(hub, "hub", common | {"ArtifactBucket": "artifacts", "ArtifactKey": "probe.zip", "CrossAccountExternalId": EXTERNAL_ID})
    # The probe is no reader of queues.
    for mapping in hub.lambda_.list_event_source_mappings()["EventSourceMappings"]:
        hub.lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    done["made"] = len(made)
    for number in SPOKES:
        spoke = common | {"HubAccountId": HUB, "HubRegion": REGION, "ExternalId": EXTERNAL_ID, "RolesRegion": REGION}
        _, done["changed_in_spoke"], made = deploy(Account(args.endpoint, number, REGION), "spoke", spoke)
        done["made"] += len(made)
    done["roles"], _ = probe_roles(hub, outputs, faults)
    done["spokes"] = probe_spokes(args.endpoint, hub, faults)
    done["events"] = carry(args.endpoint, hub, organization, faults)
    json.dump(done | {"faults": faults}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
