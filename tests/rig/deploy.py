"""Deploys Tidegate's functions, with all that they need around them, into an empty account of the rig.

    deploy.py --endpoint URL --zip FILE [--world URL] [--policy NAME] [--set NAME=VALUE ...]

prints what it made as JSON. The shape is the one that the templates deploy on AWS: one zip, one role for each function, queues
between them, one table. What is particular to the rig is only where Systems Manager, Config, Organizations and tagging are
served: by `tidegate world --listen` at `--world`.
"""

import argparse
import json
import pathlib
import sys

from clients import Account

HUB = "123456789012"
# Those that have the role. The simulated organization knows two more: one without it, one suspended (with it).
SPOKES = ("111122223333", "222233334444")
WITHOUT_ROLE = "333344445555"
SUSPENDED = "444455556666"
NAME = "tidegate"
SPOKE_ROLE = "PatchExecRole"
EXTERNAL_ID = "tidegate-rig-external-id"
AGGREGATOR = "organization"
ROOT = pathlib.Path(__file__).resolve().parents[2]

TIMEOUT_SECS = 60
# What a function may take six times over, as AWS advises: a slow batch is not handed out twice.
VISIBILITY_SECS = 6 * TIMEOUT_SECS
RECEIVES_MAX = 5

STANDARD = ("events", "work", "notices")
FIFO = ("sends", "spokes")
# Who reads which queue.
READERS = {"enqueue": "events", "gate": "work", "patch": "sends", "reevaluate": "spokes", "notify": "notices"}
FUNCTIONS = (*READERS, "console", "report")
ENTERS_SPOKES = ("patch", "reevaluate")
# People's own words: they are given in the hub, never forwarded by a rule.
NOT_FORWARDED = ("tidegate",)


def statement(actions, resources, **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def may_be_assumed_by(principal, **more):
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


def make_table(hub):
    def index(name, partition, sort, projection):
        keys = [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
        return {"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": projection}}

    attributes = {"pk": "S", "sk": "S", "due_p": "S", "due_at": "N", "day_p": "S", "pos": "N"}
    hub.dynamodb.create_table(
        TableName=NAME,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in attributes.items()],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[index("due", "due_p", "due_at", "KEYS_ONLY"), index("journal", "day_p", "pos", "ALL")],
    )
    hub.dynamodb.get_waiter("table_exists").wait(TableName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    hub.dynamodb.update_time_to_live(TableName=NAME, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    return hub.arn("dynamodb", f"table/{NAME}")


def queue_name(queue):
    return f"{NAME}-{queue}.fifo" if queue in FIFO or queue == "refused-fifo" else f"{NAME}-{queue}"


def queue_arn(hub, queue):
    return hub.arn("sqs", queue_name(queue))


def make_queues(hub):
    """Every queue that a function reads gives up on a message after a few receives: `refused` has what crashed its reader,
    beside what its reader refused with a reason. A FIFO queue's dead letters need a FIFO queue."""
    urls = {}
    for queue in ("refused", "refused-fifo", *STANDARD, *FIFO, "operators", "approvers"):
        attributes = {"VisibilityTimeout": str(VISIBILITY_SECS), "MessageRetentionPeriod": "1209600", "SqsManagedSseEnabled": "true"}
        if queue_name(queue).endswith(".fifo"):
            # Limits per group, not per queue: one account does not slow the others.
            attributes |= {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
        if queue in READERS.values():
            dead = queue_arn(hub, "refused-fifo" if queue in FIFO else "refused")
            attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": RECEIVES_MAX})
        urls[queue] = hub.sqs.create_queue(QueueName=queue_name(queue), Attributes=attributes)["QueueUrl"]
    return urls


def let_in(hub, url, arn, service, sources):
    """A queue takes messages of this service from these sources alone."""
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": sources}},
    }
    hub.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(allowed)})


def make_topic(hub, urls):
    topic = hub.sns.create_topic(Name=NAME)["TopicArn"]
    filters = {"operators": None, "approvers": {"kind": ["approval_asked"]}}
    for queue, kinds in filters.items():
        let_in(hub, urls[queue], queue_arn(hub, queue), "sns.amazonaws.com", [topic])
        attributes = {"RawMessageDelivery": "true"}
        if kinds:
            attributes["FilterPolicy"] = json.dumps(kinds)
        hub.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn(hub, queue), Attributes=attributes)
    return topic


def make_rules(hub, urls):
    rules = []
    for path in sorted((ROOT / "events/patterns").glob("*.json")):
        if path.stem in NOT_FORWARDED:
            continue
        rule = f"{NAME}-{path.stem}"
        arn = hub.events.put_rule(Name=rule, EventPattern=path.read_text(), State="ENABLED")["RuleArn"]
        hub.events.put_targets(Rule=rule, Targets=[{"Id": "events", "Arn": queue_arn(hub, "events")}])
        rules.append(arn)
    let_in(hub, urls["events"], queue_arn(hub, "events"), "events.amazonaws.com", rules)
    return rules


def make_schedule(hub, urls, enabled):
    """A tick a minute, as the template has it. A test that moves its own clock disables it and ticks by itself."""
    tick = json.loads((ROOT / "events/samples/21-tick.json").read_text()) | {"account": hub.id, "region": hub.region}
    state = "ENABLED" if enabled else "DISABLED"
    rule = f"{NAME}-tick"
    arn = hub.events.put_rule(Name=rule, ScheduleExpression="rate(1 minute)", State=state)["RuleArn"]
    hub.events.put_targets(Rule=rule, Targets=[{"Id": "work", "Arn": queue_arn(hub, "work"), "Input": json.dumps(tick)}])
    let_in(hub, urls["work"], queue_arn(hub, "work"), "events.amazonaws.com", [arn])
    return arn


def statements_of(hub, function, table, topic, bucket):
    """What a function may do: nothing that another one does for it."""
    reads = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"]
    # A transaction needs the permissions of its parts.
    writes = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem", "dynamodb:BatchWriteItem"]
    allowed = [
        statement(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], hub.arn("logs", f"log-group:/aws/lambda/{NAME}-{function}*")),
        statement(reads if function == "report" else reads + writes, [table, f"{table}/index/*"]),
    ]
    if function in READERS:
        allowed.append(
            statement(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"], queue_arn(hub, READERS[function]))
        )
    if function != "report":
        sends_to = ("work", "sends", "spokes", "notices", *(() if function == "console" else ("refused",)))
        # AWS authorises a batch as SendMessage; the emulator asks for a right of the batch's own name.
        allowed.append(statement(["sqs:SendMessage", "sqs:SendMessageBatch", "sqs:GetQueueUrl"], [queue_arn(hub, queue) for queue in sends_to]))
    if function in ENTERS_SPOKES:
        allowed.append(statement(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], f"arn:aws:iam::*:role/{SPOKE_ROLE}"))
    # An inventory is of active accounts.
    if function in ("gate", *ENTERS_SPOKES):
        allowed.append(statement(["organizations:ListRoots", "organizations:ListOrganizationalUnitsForParent", "organizations:ListAccountsForParent"], "*"))
    # Percentages are of the organization's inventory: counted when a campaign is cut, and when lost findings are looked for.
    if function in ("gate", "reevaluate"):
        aggregate = ["SelectAggregateResourceConfig", "DescribeAggregateComplianceByConfigRules", "GetAggregateComplianceDetailsByConfigRule"]
        allowed.append(statement([f"config:{call}" for call in aggregate], "*"))
    if function == "notify":
        allowed.append(statement("sns:Publish", topic))
    if function == "report":
        allowed.append(statement("s3:PutObject", f"arn:aws:s3:::{bucket}/*"))
    return allowed


def make_roles(hub, table, topic, bucket):
    roles = {}
    for function in FUNCTIONS:
        name = f"{NAME}-{function}"
        trust = may_be_assumed_by({"Service": "lambda.amazonaws.com"})
        roles[function] = hub.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        allowed = statements_of(hub, function, table, topic, bucket)
        hub.iam.put_role_policy(RoleName=name, PolicyName="least", PolicyDocument=policy(*allowed))
    return roles


def make_spoke_role(spoke, roles):
    """Trusts exactly the two roles that patch and look, and those only with the external id."""
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": [roles[function] for function in ENTERS_SPOKES]},
        "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
    }
    asked = trust | {"Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}}
    named = trust | {"Action": ["sts:TagSession", "sts:SetSourceIdentity"]}
    role = spoke.iam.create_role(RoleName=SPOKE_ROLE, AssumeRolePolicyDocument=policy(asked, named))["Role"]["Arn"]
    commands = ["SendCommand", "ListCommands", "ListCommandInvocations", "GetCommandInvocation", "CancelCommand", "DescribeInstanceInformation", "DescribeInstancePatchStates", "DescribeInstancePatches"]
    verdicts = ["StartConfigRulesEvaluation", "DescribeConfigRules", "DescribeConfigRuleEvaluationStatus", "GetComplianceDetailsByConfigRule", "GetComplianceDetailsByResource"]
    allowed = [statement([f"ssm:{call}" for call in commands] + [f"config:{call}" for call in verdicts] + ["tag:GetResources"], "*")]
    spoke.iam.put_role_policy(RoleName=SPOKE_ROLE, PolicyName="patching", PolicyDocument=policy(*allowed))
    return role


def environment_of(function, urls, topic, bucket, console_url, world, policy_name, settings):
    variables = {f"TIDEGATE_QUEUE_{queue.upper()}": urls[queue] for queue in ("events", "work", "sends", "spokes", "notices", "refused")}
    variables |= {
        "TIDEGATE_TABLE": NAME,
        "TIDEGATE_TOPIC": topic,
        "TIDEGATE_SPOKE_ROLE": SPOKE_ROLE,
        "TIDEGATE_AGGREGATOR": AGGREGATOR,
        "TIDEGATE_POLICY": policy_name,
        "TIDEGATE_BUCKET": bucket,
        "TIDEGATE_CONSOLE_URL": console_url,
        "TIDEGATE_SWEEP_SECS": "900",
        # By the real clock, which no test waits for: it is asked for by a message where it is wanted.
        "TIDEGATE_SWEEP_NODES_SECS": "0",
    }
    if function in ENTERS_SPOKES:
        variables["TIDEGATE_EXTERNAL_ID"] = EXTERNAL_ID
    if world:
        for service in ("SSM", "CONFIG_SERVICE", "ORGANIZATIONS", "RESOURCE_GROUPS_TAGGING_API"):
            variables[f"AWS_ENDPOINT_URL_{service}"] = world
    return {name: value for name, value in (variables | settings).items() if value}


def make_functions(hub, code, roles, urls, topic, bucket, world, policy_name, settings):
    hub.s3.put_object(Bucket=bucket, Key="code/tidegate.zip", Body=code)

    def make(function, console_url):
        hub.lambda_.create_function(
            FunctionName=f"{NAME}-{function}",
            Runtime="provided.al2023",
            Handler=function,
            Role=roles[function],
            Architectures=["x86_64"],
            Code={"S3Bucket": bucket, "S3Key": "code/tidegate.zip"},
            Timeout=TIMEOUT_SECS,
            MemorySize=256,
            Environment={"Variables": environment_of(function, urls, topic, bucket, console_url, world, policy_name, settings)},
        )

    make("console", "")
    # A link in a mail is not signed: its token is what decides.
    url = hub.lambda_.create_function_url_config(FunctionName=f"{NAME}-console", AuthType="NONE")["FunctionUrl"]
    anyone = {"StatementId": "links", "Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": "NONE"}
    hub.lambda_.add_permission(FunctionName=f"{NAME}-console", **anyone)
    variables = environment_of("console", urls, topic, bucket, url, world, policy_name, settings)
    hub.lambda_.update_function_configuration(FunctionName=f"{NAME}-console", Environment={"Variables": variables})
    for function in FUNCTIONS:
        if function != "console":
            make(function, url)
    for function, queue in READERS.items():
        hub.lambda_.create_event_source_mapping(
            FunctionName=f"{NAME}-{function}",
            EventSourceArn=queue_arn(hub, queue),
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            Enabled=True,
            **({} if queue in FIFO else {"ScalingConfig": {"MaximumConcurrency": 2}}),
        )
    return url


def deploy(endpoint, code, world=None, policy_name="default", settings=None, region="us-east-1", ticks=False):
    """Makes everything, and gives the names of what it made."""
    hub = Account(endpoint, HUB, region)
    bucket = f"{NAME}-{HUB}-{region}"
    hub.s3.create_bucket(Bucket=bucket)
    table = make_table(hub)
    urls = make_queues(hub)
    topic = make_topic(hub, urls)
    rules = make_rules(hub, urls)
    schedule = make_schedule(hub, urls, ticks)
    roles = make_roles(hub, table, topic, bucket)
    for account in (*SPOKES, SUSPENDED):
        make_spoke_role(Account(endpoint, account, region), roles)
    console = make_functions(hub, code, roles, urls, topic, bucket, world, policy_name, settings or {})
    return {
        "table": NAME,
        "queues": urls,
        "topic": topic,
        "rules": rules,
        "schedule": schedule,
        "roles": roles,
        "functions": {function: f"{NAME}-{function}" for function in FUNCTIONS},
        "bucket": bucket,
        "console": console,
    }


def main():
    parser = argparse.ArgumentParser(description="deploys Tidegate into an empty account of the rig")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--zip", required=True, type=pathlib.Path)
    parser.add_argument("--world")
    parser.add_argument("--policy", default="default")
    parser.add_argument("--ticks", action="store_true", help="enable the schedule")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a further environment variable of every function")
    args = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in args.set)
    made = deploy(args.endpoint, args.zip.read_bytes(), args.world, args.policy, settings, ticks=args.ticks)
    json.dump(made, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
