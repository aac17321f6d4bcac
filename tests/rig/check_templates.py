"""Everything about the templates that can be said without deploying them.

    check_templates.py [--templates FOLDER] [CHECK ...]

prints, for each check, how much it looked at and what is wrong, as JSON. Linters by third parties (cfn-lint, parliament, cfn-guard's
engine) are among them; the others hold the templates against the code: patterns, rights, settings, the table.
"""

import json
import re
import warnings

import checks
from templates import NAMES, ROOT, Template, folder, listed, patterns, read, widest

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

RIGHTS = tomllib.loads((ROOT / "handlers/lambda/rights.toml").read_text())
# The SDK's crates, with botocore's name of the service and the one in IAM's actions.
SERVICES = {
    "config": ("config", "config"),
    "dynamodb": ("dynamodb", "dynamodb"),
    "organizations": ("organizations", "organizations"),
    "resourcegroupstagging": ("resourcegroupstaggingapi", "tag"),
    "s3": ("s3", "s3"),
    "sfn": ("stepfunctions", "states"),
    "sns": ("sns", "sns"),
    "sqs": ("sqs", "sqs"),
    "ssm": ("ssm", "ssm"),
    "sts": ("sts", "sts"),
}
# Services that are called without an SDK of theirs (handlers/aws/src/signed.rs). A call is known by its name as IAM spells it, in quotes,
# and to which service it goes in that protocol by the target that it names.
SIGNED_BY_HAND = ("bedrock", "cloudwatch")
# cfn-lint's advice that is not taken, and why.
LINT_IGNORED = {
    # Queues, rules and log groups may go with their stack; what must stay says so (rules.guard).
    "I3011",
}
# Findings of parliament's that are its own, and why.
PARLIAMENT_IGNORED = {
    # It asks for the document in every statement, and for an account in the ARN of AWS's own documents, which have none. Document
    # and nodes must be apart: a tag condition on both would deny everything.
    ("spoke", "ExecRole", "RESOURCE_MISMATCH", "ssm:SendCommand"),
    # It asks for executions of express machines beside those of standard ones, which ours is.
    ("hub", "GateRole", "RESOURCE_MISMATCH", "states:DescribeExecution"),
    # It says that one could be narrower; CloudWatch then tells of no composite alarm (the reason stands in the template).
    ("hub", "GateRole", "RESOURCE_STAR", "cloudwatch:DescribeAlarms"),
}



def calls_in_sources():
    """Calls to the SDK by file, outside of tests: `.operation()`, as the SDK spells the operations of its services."""
    import botocore.session
    from botocore import xform_name

    crates = set(re.findall(r"^aws-sdk-([a-z0-9]+)", (ROOT / "Cargo.toml").read_text(), re.MULTILINE))
    session, operations = botocore.session.Session(), {}
    for crate in crates:
        if crate not in SERVICES:
            raise SystemExit(f"aws-sdk-{crate} is new: name its service in {__file__}")
        service, prefix = SERVICES[crate]
        for operation in session.get_service_model(service).operation_names:
            operations.setdefault(xform_name(operation), set()).add(f"{prefix}:{operation}")
    found = {}
    for crate in ("aws", "lambda"):
        for path in sorted((ROOT / f"handlers/{crate}/src").rglob("*.rs")):
            if path.name == "tests.rs":
                continue
            code = path.read_text().split("#[cfg(test)]\nmod ")[0]
            called = set().union(*(operations.get(name, set()) for name in re.findall(r"\.([a-z0-9_]+)\(\)", code)))
            called |= set(re.findall(rf'"((?:{"|".join(SIGNED_BY_HAND)}):[A-Z][A-Za-z]+)"', code))
            if called:
                found[str(path.relative_to(ROOT))] = called
    return found


def check_calls():
    """The list of calls is that of the sources, and every call is somebody's."""
    found, listed_calls = calls_in_sources(), {file: set(calls) for file, calls in RIGHTS["calls"].items()}
    faults = []
    for file in sorted(found.keys() | listed_calls.keys()):
        more, less = found.get(file, set()) - listed_calls.get(file, set()), listed_calls.get(file, set()) - found.get(file, set())
        faults += [f"{file} calls `{call}`, which handlers/lambda/rights.toml does not list" for call in sorted(more)]
        faults += [f"handlers/lambda/rights.toml lists `{call}` for {file}, which does not call it" for call in sorted(less)]
    every = set().union(*listed_calls.values())
    used = set().union(*(set(function["calls"]) | set(function.get("in_spokes", [])) | set(function.get("where_listed", {})) for function in RIGHTS["function"].values()))
    used |= set().union(*(set(told) for function in RIGHTS["function"].values() for told in function.get("where_told", {}).values()))
    elsewhere = set(RIGHTS["elsewhere"])
    faults += [f"`{call}` is nobody's: give it to a function, or say under [elsewhere] who makes it" for call in sorted(every - used - elsewhere)]
    faults += [f"`{call}` is given to a function, or named elsewhere, and is called nowhere" for call in sorted((used | elsewhere) - every)]
    faults += [f"`{call}` is said to be made elsewhere, and by a function" for call in sorted(used & elsewhere)]
    return len(every), faults


def actions_for(calls):
    return set().union(*(set(RIGHTS["actions"].get(call, [call])) for call in calls)) if calls else set()


def statements(role):
    for policy in role["Properties"].get("Policies", []):
        yield from policy["PolicyDocument"]["Statement"]


def actions_of(role):
    return set().union(*(set(listed(statement["Action"])) for statement in statements(role) if statement["Effect"] == "Allow"))


def compare(who, allowed, needed):
    faults = [f"{who} may not do `{action}`, which its code does" for action in sorted(needed - allowed)]
    return faults + [f"{who} may do `{action}`, which nothing in it does" for action in sorted(allowed - needed)]


def check_rights():
    """Roles allow what code does: no less, no more."""
    hub, spoke, faults = Template("hub"), Template("spoke"), []
    of_arn = {hub.arn_of(logical): role for logical, role in hub.of_type("AWS::IAM::Role").items()}
    functions = {function["Properties"]["Handler"]: function["Properties"] for function in hub.of_type("AWS::Lambda::Function").values()}
    for name in sorted(functions.keys() ^ RIGHTS["function"].keys()):
        faults.append(f"`{name}` is a function of the template or of rights.toml, and not of both")
    mapped = {mapping["Properties"]["FunctionName"]: mapping["Properties"]["EventSourceArn"] for mapping in hub.of_type("AWS::Lambda::EventSourceMapping").values()}
    used_roles = set()
    for name, right in RIGHTS["function"].items():
        role_arn = functions[name]["Role"]
        if role_arn in used_roles:
            faults.append(f"{name} shares its role with another function")
        used_roles.add(role_arn)
        needed = actions_for(right["calls"]) | set(RIGHTS["aws"]["every_function"]) | set(right.get("keys", []))
        queue = mapped.get(functions[name]["FunctionName"], "").split(":")[-1].removesuffix(".fifo").removeprefix("ec2patch-")
        if queue != right.get("queue", ""):
            faults.append(f"{name} reads `{queue}`, and rights.toml says `{right.get('queue')}`")
        if queue:
            needed |= set(RIGHTS["aws"]["queue_reader"])
            may_read = [resource for statement in statements(of_arn[role_arn]) if "sqs:ReceiveMessage" in listed(statement["Action"]) for resource in listed(statement["Resource"])]
            if may_read != [mapped[functions[name]["FunctionName"]]]:
                faults.append(f"{name} may read {may_read}, and its mapping reads {queue}")
        faults += compare(f"{name}'s role", actions_of(of_arn[role_arn]), needed)
        for call, parameter in right.get("where_listed", {}).items():
            faults += check_listed(name, call, parameter, needed)
    # Two roles in a spoke, one for each function that enters it.
    roles = {role["Properties"]["RoleName"]: role for role in spoke.of_type("AWS::IAM::Role").values()}
    entering = {name: right["in_spokes"] for name, right in RIGHTS["function"].items() if "in_spokes" in right}
    for name, calls in entering.items():
        role_name = functions[name]["Environment"]["Variables"]["TIDEGATE_SPOKE_ROLE"]
        role = roles.get(role_name)
        if role is None:
            faults.append(f"{name} assumes `{role_name}`, which spokes do not make")
            continue
        faults += compare(f"{role_name} in spokes", actions_of(role), actions_for(calls))
        for parameter, told in RIGHTS["function"][name].get("where_told", {}).items():
            faults += check_told(role_name, parameter, calls + told)
        may_assume = [resource for statement in statements(of_arn[functions[name]["Role"]]) if "sts:AssumeRole" in listed(statement["Action"]) for resource in listed(statement["Resource"])]
        if may_assume != [f"arn:aws:iam::*:role/{role_name}"]:
            faults.append(f"{name} may assume {may_assume}, not {role_name} alone")
        faults += check_trust(name, functions[name]["Role"], role)
    return len(functions) + len(entering), faults


def check_listed(name, call, parameter, needed):
    """A call that a parameter allows is allowed on what is listed there, and on nothing else."""
    arns = ["arn:aws:bedrock:us-east-1:123456789012:agent-alias/AGENT12345/ALIAS12345", "arn:aws:bedrock:us-east-1:123456789012:agent-alias/AGENT12345/ALIAS67890"]
    hub = Template("hub", {parameter: ",".join(arns)})
    (function,) = [function["Properties"] for function in hub.of_type("AWS::Lambda::Function").values() if function["Properties"]["Handler"] == name]
    (role,) = [role for logical, role in hub.of_type("AWS::IAM::Role").items() if hub.arn_of(logical) == function["Role"]]
    faults = compare(f"{name}'s role with `{parameter}`", actions_of(role), needed | actions_for([call]))
    allowed = [resource for statement in statements(role) if call in listed(statement["Action"]) for resource in listed(statement["Resource"])]
    return faults + ([] if allowed == arns else [f"{name} may do `{call}` on {allowed}, and `{parameter}` lists {arns}"])


def check_told(role_name, parameter, needed):
    """What a parameter of the spoke's template allows, it allows where it is `true`; by default it is not."""
    template = Template("spoke", {parameter: "true"})
    (role,) = [role for role in template.of_type("AWS::IAM::Role").values() if role["Properties"]["RoleName"] == role_name]
    faults = compare(f"{role_name} in spokes with `{parameter}`", actions_of(role), actions_for(needed))
    return faults + ([] if template.raw["Parameters"][parameter].get("Default") == "false" else [f"`{parameter}` of the spoke's template is not off by default"])


def check_trust(name, hub_role, role):
    """A spoke's role trusts one role of the hub, with the external id, of the organization, in the name of a wave."""
    trust, faults = role["Properties"]["AssumeRolePolicyDocument"]["Statement"], []
    if len(trust) != 1 or trust[0]["Principal"] != {"AWS": hub_role}:
        faults.append(f"{role['Properties']['RoleName']} trusts {[statement['Principal'] for statement in trust]}, not {hub_role} of {name} alone")
    condition = trust[0].get("Condition", {})
    if set(condition.get("StringEquals", {})) != {"sts:ExternalId", "aws:PrincipalOrgID"} or condition.get("StringLike") != {"sts:SourceIdentity": "wave-*"}:
        faults.append(f"{role['Properties']['RoleName']} is assumed under {condition}")
    if set(listed(trust[0]["Action"])) != actions_for(["sts:AssumeRole"]):
        faults.append(f"{role['Properties']['RoleName']} is trusted with {trust[0]['Action']}")
    return faults


def check_wildcards():
    """No action of an identity policy has a wildcard, and each resource that has one says why; reasons that explain nothing go."""
    looked, faults = 0, []
    for name in NAMES:
        template = widest(name)
        for logical, resource in template.of_type("AWS::IAM::Role", "AWS::KMS::Key").items():
            reasons = dict(resource.get("Metadata", {}).get("WildcardReasons", {}))
            is_key = resource["Type"] == "AWS::KMS::Key"
            for statement in resource["Properties"]["KeyPolicy"]["Statement"] if is_key else statements(resource):
                looked += 1
                sid = statement.get("Sid", "")
                # In a key's policy, `*` is the key. A log group's ARN ends with `:*`, as GetAtt gives it.
                wide = [r for r in listed(statement["Resource"]) if "*" in re.sub(r"(:log-group:[^:*]+):\*$", r"\1", r) and not is_key]
                wild = [action for action in listed(statement["Action"]) if "*" in action]
                reason = reasons.pop(sid, None) if wide or wild else None
                if wild and not (is_key and reason):
                    faults.append(f"{name}: {logical}.{sid} allows {wild}")
                if wide and not reason:
                    faults.append(f"{name}: {logical}.{sid} is for {wide} without a reason in Metadata.WildcardReasons")
            faults += [f"{name}: {logical} has a reason for `{sid}`, which needs none" for sid in reasons]
            if not is_key:
                for statement in resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
                    principals = listed(list(statement["Principal"].values())[0]) if isinstance(statement["Principal"], dict) else [statement["Principal"]]
                    if any("*" in principal or principal.endswith(":root") for principal in principals):
                        faults.append(f"{name}: {logical} trusts {principals}")
    return looked, faults


def check_parliament():
    """IAM's own data: actions, resources and conditions that exist, and fit each other."""
    # Each linter takes a second or more to import: only where it is asked.
    with warnings.catch_warnings():
        # It imports pkg_resources, whose end is announced.
        warnings.simplefilter("ignore")
        import parliament
    looked, faults, unused = 0, [], set(PARLIAMENT_IGNORED)
    for name in NAMES:
        for logical, role in widest(name).of_type("AWS::IAM::Role").items():
            for policy in role["Properties"].get("Policies", []):
                looked += 1
                analyzed = parliament.analyze_policy_string(json.dumps(policy["PolicyDocument"]))
                for finding in analyzed.findings:
                    first = finding.detail[0] if isinstance(finding.detail, list) and finding.detail else None
                    about = first.get("action") if isinstance(first, dict) else first
                    if (name, logical, finding.issue, about) in PARLIAMENT_IGNORED:
                        unused.discard((name, logical, finding.issue, about))
                    else:
                        faults.append(f"{name}: {logical}: {finding.issue} {finding.detail} {finding.location}")
    faults += [f"parliament no longer says {ignored}: take the exception away" for ignored in unused]
    return looked, faults


def check_patterns():
    """Rules have exactly the patterns of events/patterns, each delivered whole, and the bus lets exactly those in."""
    wanted, faults, looked = patterns(), [], 0
    hub, spoke = widest("hub"), widest("spoke")
    goals = {"hub": hub.arn_of("EventsQueue"), "spoke": hub.arn_of("Bus")}
    for template in (hub, spoke):
        rules = {rule["Properties"]["Name"].removeprefix("ec2patch-"): rule["Properties"] for rule in template.of_type("AWS::Events::Rule").values()}
        for stem in sorted(rules.keys() ^ wanted.keys()):
            faults.append(f"{template.name}: the rule `{stem}` or events/patterns/{stem}.json is missing")
        for stem in rules.keys() & wanted.keys():
            looked += 1
            if rules[stem]["EventPattern"] != wanted[stem]:
                faults.append(f"{template.name}: the rule `{stem}` is not events/patterns/{stem}.json")
            for target in rules[stem]["Targets"]:
                if target["Arn"] != goals[template.name]:
                    faults.append(f"{template.name}: the rule `{stem}` leads to {target['Arn']}")
                faults += [f"{template.name}: the rule `{stem}` changes events by `{key}`" for key in target.keys() & {"Input", "InputPath", "InputTransformer"}]
    (deliver,) = [statement for statement in hub.resources["RulesMayDeliver"]["Properties"]["PolicyDocument"]["Statement"] if statement["Sid"] == "Rules"]
    if set(deliver["Condition"]["ArnEquals"]["aws:SourceArn"]) != {hub.arn_of(logical) for logical in hub.of_type("AWS::Events::Rule")}:
        faults.append("hub: the queue does not take what all rules deliver, and from them alone")
    equals = hub.resources["BusTakesTheOrganization"]["Properties"]["Statement"]["Condition"]["StringEquals"]
    for key, part in (("events:source", "source"), ("events:detail-type", "detail-type")):
        if set(equals[key]) != {value for pattern in wanted.values() for value in pattern[part]}:
            faults.append(f"hub: the bus lets in {equals[key]} as {key}, which is not what the patterns match")
    return looked, faults


def check_settings():
    """Functions are told what they read, and secrets go only where they are needed."""
    known = set()
    for file in ("handlers/lambda/src/settings.rs", "handlers/aws/src/environment.rs", "handlers/lambda/src/log.rs"):
        known |= set(re.findall(r'"(TIDEGATE_[A-Z_]+)"', (ROOT / file).read_text().split("#[cfg(test)]\nmod ")[0]))
    needed = {"TIDEGATE_TABLE", "TIDEGATE_POLICY", "TIDEGATE_CATALOG", "TIDEGATE_LOG", *(f"TIDEGATE_QUEUE_{queue}" for queue in ("WORK", "SENDS", "SPOKES", "NOTICES"))}
    own = {
        "gate": {"TIDEGATE_AGGREGATOR", "TIDEGATE_SWEEP_SECS", "TIDEGATE_SWEEP_NODES_SECS", "TIDEGATE_ORCHESTRATOR"},
        "patch": {"TIDEGATE_SPOKE_ROLE", "TIDEGATE_EXTERNAL_ID", "TIDEGATE_PARTITION"},
        "reevaluate": {"TIDEGATE_SPOKE_ROLE", "TIDEGATE_EXTERNAL_ID", "TIDEGATE_PARTITION", "TIDEGATE_AGGREGATOR", "TIDEGATE_REGIONS"},
        "notify": {"TIDEGATE_TOPIC", "TIDEGATE_CHAT_TOPIC", "TIDEGATE_CONSOLE_URL", "TIDEGATE_BEDROCK_AGENT"},
        "report": {"TIDEGATE_BUCKET"},
    }
    faults, told = [], set()
    hub = Template("hub")
    for function in hub.of_type("AWS::Lambda::Function").values():
        name, variables = function["Properties"]["Handler"], set(function["Properties"]["Environment"]["Variables"])
        told |= variables
        wanted = needed | own.get(name, set()) | ({"TIDEGATE_QUEUE_REFUSED"} if "queue" in RIGHTS["function"][name] else set())
        faults += [f"{name} is not told `{variable}`" for variable in sorted(wanted - variables)]
        faults += [f"{name} is told `{variable}`, which it has no use for" for variable in sorted(variables - wanted)]
    faults += [f"no code reads `{variable}`" for variable in sorted(told - known)]
    faults += [f"no function is told `{variable}`, which code reads" for variable in sorted(known - told)]
    return len(known), faults


def check_queues():
    """A message is hidden for six times its reader's time-out, and gives up after a few receives; the table has the code's keys."""
    hub, faults = Template("hub"), []
    timeouts = {function["Properties"]["FunctionName"]: function["Properties"]["Timeout"] for function in hub.of_type("AWS::Lambda::Function").values()}
    queues = {hub.arn_of(logical): queue["Properties"] for logical, queue in hub.of_type("AWS::SQS::Queue").items()}
    mappings = [mapping["Properties"] for mapping in hub.of_type("AWS::Lambda::EventSourceMapping").values()]
    for mapping in mappings:
        queue = queues[mapping["EventSourceArn"]]
        if queue["VisibilityTimeout"] < 6 * timeouts[mapping["FunctionName"]]:
            faults.append(f"{queue['QueueName']} hides messages for less than six times its reader's time-out")
        dead = queue["RedrivePolicy"]["deadLetterTargetArn"]
        if queue["RedrivePolicy"]["maxReceiveCount"] < 5 or dead.endswith(".fifo") != queue["QueueName"].endswith(".fifo"):
            faults.append(f"{queue['QueueName']} gives up by {queue['RedrivePolicy']}")
    constants = dict(re.findall(r'const ([A-Z_]+): &str = "([a-z_]+)";', "".join(path.read_text() for path in (ROOT / "handlers/aws/src/dynamo").glob("*.rs"))))
    table = hub.resources["Table"]["Properties"]

    def key_names(keyed):
        return [key["AttributeName"] for key in keyed["KeySchema"]]

    made = (key_names(table), {index["IndexName"]: key_names(index) for index in table["GlobalSecondaryIndexes"]}, table["TimeToLiveSpecification"]["AttributeName"])
    indexes = {constants["DUE_INDEX"]: [constants["DUE_P"], constants["DUE_AT"]], constants["JOURNAL_INDEX"]: [constants["DAY_P"], constants["POS"]]}
    if made != ([constants["PK"], constants["SK"]], indexes, constants["TTL"]):
        faults.append(f"the table is {made}, which is not what handlers/aws/src/dynamo reads and writes")
    tick = json.loads(hub.resources["TickSchedule"]["Properties"]["Target"]["Input"])
    sample = json.loads((ROOT / "events/samples/21-tick.json").read_text())
    if tick | {"account": sample["account"], "time": sample["time"]} != sample:
        faults.append("the tick is not that of events/samples/21-tick.json")
    return len(mappings) + 1, faults


def check_metrics():
    """Alarms and dashboards read metrics that something makes: the functions, a filter over their logs, or AWS."""
    sources = "".join(path.read_text().split("#[cfg(test)]\nmod ")[0] for path in (ROOT / "handlers/lambda/src").rglob("*.rs"))
    engine = "".join(path.read_text().split("#[cfg(test)]\nmod ")[0] for path in (ROOT / "handlers/engine/src").rglob("*.rs"))
    emitted = set(re.findall(r'"([A-Z][A-Za-z]+)"', sources))
    kinds = set(re.findall(r'=> "([a-z_]+)"', (ROOT / "events/src/action.rs").read_text()))
    hub, faults, looked = Template("hub"), [], 0
    # The log line's own fields: `name = value`, or a shorthand of the same.
    fields = {field for field in re.findall(r"[%?]?\b([a-z_]+)(?= = |,|\))", "".join(re.findall(r"tracing::\w+!\(([^;]*?)\);", sources + engine, re.DOTALL)))}
    made = set()
    for logical, found in hub.of_type("AWS::Logs::MetricFilter").items():
        looked += 1
        pattern, (transformation,) = found["Properties"]["FilterPattern"], found["Properties"]["MetricTransformations"]
        made.add((transformation["MetricNamespace"], transformation["MetricName"]))
        if "Dimensions" in transformation:
            faults.append(f"hub: {logical} multiplies what it costs by its dimensions")
        kind, number = re.fullmatch(r'\{ \$\.kind = "([a-z_]+)" \}', pattern), re.fullmatch(r"\{ \$\.([a-z_]+) = \* \}", pattern)
        if kind and kind.group(1) not in kinds:
            faults.append(f"hub: {logical} looks for notices of the kind `{kind.group(1)}`, of which there are none")
        if number and transformation["MetricValue"] != f"$.{number.group(1)}":
            faults.append(f"hub: {logical} finds `{number.group(1)}` and takes {transformation['MetricValue']}")
        if number and number.group(1) not in fields:
            faults.append(f"hub: {logical} reads `{number.group(1)}`, which nothing writes")
        if not kind and not number:
            faults.append(f"hub: {logical} has a pattern of a form that is not known here: {pattern}")
    alarms = [alarm["Properties"] for alarm in hub.of_type("AWS::CloudWatch::Alarm").values()]
    read_by = [(metric["Namespace"], metric["MetricName"]) for alarm in alarms for metric in ([alarm] if "Namespace" in alarm else [part["MetricStat"]["Metric"] for part in alarm["Metrics"] if "MetricStat" in part])]
    shown = []
    for dashboard in hub.of_type("AWS::CloudWatch::Dashboard").values():
        widgets = json.loads(dashboard["Properties"]["DashboardBody"])["widgets"]
        shown += [(metric[0], metric[1]) for widget in widgets if widget["type"] == "metric" for metric in widget["properties"]["metrics"]]
        places = [(widget["x"], widget["y"]) for widget in widgets]
        if len(set(places)) != len(places) or any(widget["x"] + widget["width"] > 24 for widget in widgets):
            faults.append(f"hub: widgets of {dashboard['Properties']['DashboardName']} lie on each other, or stick out")
    for namespace, name in read_by + shown:
        looked += 1
        is_made = name in emitted if namespace == "Tidegate" else namespace.startswith("AWS/") or (namespace, name) in made
        if not is_made:
            faults.append(f"hub: nothing makes the metric {namespace} {name}")
    faults += [f"hub: nobody looks at the metric {namespace} {name}" for namespace, name in sorted(made - set(read_by + shown))]
    for alarm in alarms:
        if alarm.get("TreatMissingData") not in ("breaching", "notBreaching") or not alarm.get("AlarmActions"):
            faults.append(f"hub: {alarm['AlarmName']} tells nobody, or does not say what silence means")
    return looked, faults


def check_network():
    """Where subnets are given, every function is in them, with a role that lets Lambda make its interfaces; nothing changes without."""
    subnets, groups = "subnet-0a1b2c3d,subnet-4e5f6a7b", "sg-0a1b2c3d"
    faults, looked = [], 0
    for parameters in ({}, {"VpcSubnetIds": subnets, "VpcSecurityGroupIds": groups}):
        hub = Template("hub", parameters)
        roles = {hub.arn_of(logical): role["Properties"] for logical, role in hub.of_type("AWS::IAM::Role").items()}
        wanted = {"SubnetIds": subnets.split(","), "SecurityGroupIds": groups.split(",")} if parameters else None
        managed = ["arn:aws:iam::aws:policy/service-role/AWSLambdaENIManagementAccess"] if parameters else None
        for function in hub.of_type("AWS::Lambda::Function").values():
            looked += 1
            properties = function["Properties"]
            if properties.get("VpcConfig") != wanted:
                faults.append(f"hub: {properties['FunctionName']} is in {properties.get('VpcConfig')}, not in {wanted}")
            if roles[properties["Role"]].get("ManagedPolicyArns") != managed:
                faults.append(f"hub: the role of {properties['FunctionName']} has {roles[properties['Role']].get('ManagedPolicyArns')}, not {managed}")
    return looked, faults


def check_parameters():
    """Each environment's file has what the templates ask for, in words that they take; names agree between the templates."""
    faults, looked = [], 0
    specs = {name: read(name)["Parameters"] for name in NAMES}
    for path in sorted((folder() / "parameters").glob("*.json")):
        looked += 1
        values = json.loads(path.read_text())["Parameters"]
        known = set().union(*specs.values())
        faults += [f"{path.name}: no template has `{key}`" for key in sorted(values.keys() - known)]
        for name, spec in specs.items():
            for parameter, about in spec.items():
                value = values.get(parameter)
                if value is None:
                    if "Default" not in about:
                        faults.append(f"{path.name}: `{parameter}` of {name}.yaml is not set")
                    continue
                for part in value.split(",") if about["Type"] == "CommaDelimitedList" else [value]:
                    is_taken = re.search(about.get("AllowedPattern", ""), part) and (about.get("AllowedValues") is None or part in map(str, about["AllowedValues"]))
                    if about["Type"] == "Number":
                        is_taken = is_taken and about.get("MinValue", 0) <= int(part) <= about.get("MaxValue", int(part))
                    if not is_taken:
                        faults.append(f"{path.name}: {name}.yaml does not take `{part}` as `{parameter}`")
        if values.get("CrossAccountExternalId") != values.get("ExternalId"):
            faults.append(f"{path.name}: hub and spokes do not have the same external id")
        if values["SpokeRegions"].split(",")[0] != values["RolesRegion"]:
            faults.append(f"{path.name}: the first Region of `SpokeRegions` makes the roles, and is not `RolesRegion`")
    # What the hub calls by one name, spokes call by another.
    same = {"SpokeRoleName": "RoleName", "SpokeVerifyRoleName": "VerifyRoleName", "PatchRoleName": "HubPatchRoleName", "ReevaluateRoleName": "HubReevaluateRoleName", "NamePrefix": "NamePrefix"}
    for ours, theirs in same.items():
        for name in ("spoke", "organization"):
            if specs["hub"][ours]["Default"] != specs[name][theirs]["Default"]:
                faults.append(f"hub.yaml's `{ours}` and {name}.yaml's `{theirs}` have different defaults")
    # Stack sets pass on everything that spokes take.
    organization = Template("organization")
    for logical, stack_set in organization.of_type("AWS::CloudFormation::StackSet").items():
        passed = {parameter["ParameterKey"] for parameter in stack_set["Properties"]["Parameters"]}
        faults += [f"organization: {logical} does not pass on `{key}`" for key in sorted(specs["spoke"].keys() - passed - {"ConfigRuleName"})]
        faults += [f"organization: {logical} passes on `{key}`, which spokes do not take" for key in sorted(passed - specs["spoke"].keys())]
    return looked, faults


def check_lint():
    """cfn-lint, with its informational rules."""
    from cfnlint.api import lint
    from cfnlint.config import ManualArgs

    faults = []
    for name in NAMES:
        config = ManualArgs(include_checks=["I"], ignore_checks=sorted(LINT_IGNORED), regions=["us-east-1", "eu-central-1"])
        matches = lint((folder() / f"{name}.yaml").read_text(), config=config)
        faults += [f"{name}.yaml:{match.linenumber}: {match.rule.id} {match.message}" for match in matches]
    return len(NAMES), faults


def check_guard():
    """The rules of rules.guard; each must have something to say about some template, and break where it is broken."""
    import guardpycfn

    rules, faults, applied = (folder() / "rules.guard").read_text(), [], set()

    def evaluate(text):
        answer = guardpycfn.validate_with_guard(text, rules)
        if not answer["success"]:
            raise SystemExit(f"rules.guard: {answer['error']}")
        return answer["result"]

    for name in NAMES:
        result = evaluate((folder() / f"{name}.yaml").read_text())
        if not isinstance(result, dict) or result["status"] != "PASS":
            broken = [rule["Rule"]["name"] for rule in result["not_compliant"]] if isinstance(result, dict) else str(result)[-1000:]
            faults.append(f"{name}.yaml breaks {broken}")
        if isinstance(result, dict):
            applied |= set(result["compliant"])
    every = set(re.findall(r"^rule ([a-z_]+)", rules, re.MULTILINE))
    faults += [f"rules.guard: `{rule}` is about nothing" for rule in sorted(every - applied)]
    return len(applied), faults


CHECKS = {
    "calls": check_calls,
    "rights": check_rights,
    "wildcards": check_wildcards,
    "parliament": check_parliament,
    "patterns": check_patterns,
    "settings": check_settings,
    "queues": check_queues,
    "metrics": check_metrics,
    "network": check_network,
    "parameters": check_parameters,
    "guard": check_guard,
    "lint": check_lint,
}


if __name__ == "__main__":
    checks.main(CHECKS, "stacksets/", "--templates", folder)
