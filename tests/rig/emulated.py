"""What is taken out of a template, and put into it, before ministack deploys it. Everything is listed; nothing else is changed.

docs/testing.md has this list with what stands in for each line.
"""

import copy
import json

from templates import listed

# Types that it rejects.
TYPES = {
    "AWS::Events::EventBusPolicy": "the courier asks the statement of the template itself",
    "AWS::Config::ConfigRule": "the simulated organization judges by itself",
    "AWS::SSM::Document": "the simulated organization has a runbook of that name",
}
# Condition keys that it does not know, so that it would deny.
KEYS = {
    "sts:SourceIdentity": "the emulator keeps no source identity",
    "aws:ResourceOrgID": "it does not say whose organization a resource is of; the roles' trust policies ask for aws:PrincipalOrgID, which it knows",
}
# Statements by their Sid.
NEVER = {"StringEquals": {"aws:PrincipalArn": "nobody"}}
SIDS = {"TlsOnly": "the rig speaks HTTP, so this one denies nobody here. It stays, since a policy replaces what a resource allows by itself"}
# AWS authorises a batch as its single call; the emulator asks for a right of the batch's own name.
ALSO = {"sqs:SendMessage": "sqs:SendMessageBatch"}


def for_the_emulator(raw, region, endpoints=None):
    """A template (long form) as the emulator takes it in this Region, and what was changed in it. `endpoints` are variables that tell
    functions where the services are served that are not the emulator's."""
    template, changed = copy.deepcopy(raw), []
    # It knows no pseudo parameters in conditions.
    conditions = json.dumps(template.get("Conditions", {}))
    if '{"Ref": "AWS::Region"}' in conditions:
        template["Conditions"] = json.loads(conditions.replace('{"Ref": "AWS::Region"}', json.dumps(region)))
        changed.append("conditions: AWS::Region")
    for logical, resource in list(template["Resources"].items()):
        if resource["Type"] in TYPES:
            changed.append(f"{logical}: {resource['Type']}")
            del template["Resources"][logical]
            continue
        if endpoints and resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Environment"]["Variables"] |= endpoints
            changed.append(f"{logical}: {', '.join(endpoints)}")
        _take_first_metric(resource, logical, changed)
        _walk(resource, logical, changed)
    return template, changed


def _take_first_metric(resource, logical, changed):
    """It knows no metric math: an alarm over several metrics is one over their first."""
    metrics = resource["Properties"].pop("Metrics", None) if resource["Type"] == "AWS::CloudWatch::Alarm" else None
    if metrics:
        first = next(metric["MetricStat"] for metric in metrics if "MetricStat" in metric)
        resource["Properties"] |= {"Statistic": first["Stat"], "Period": first["Period"], **first["Metric"]}
        changed.append(f"{logical}: one metric of {len(metrics) - 1}")


def _walk(node, where, changed):
    if isinstance(node, list):
        for part in node:
            _walk(part, where, changed)
        return
    if not isinstance(node, dict):
        return
    if isinstance(node.get("Statement"), list):
        for statement in _written(node["Statement"]):
            if statement.get("Sid") in SIDS:
                statement["Condition"] = NEVER
                changed.append(f"{where}: statement {statement['Sid']}")
            actions = listed(statement["Action"])
            more = [ALSO[action] for action in actions if action in ALSO]
            if more and "Principal" not in statement:
                statement["Action"] = actions + more
                changed.append(f"{where}: {', '.join(more)} beside {statement.get('Sid')}")
            _strip_keys(statement, where, changed)
    for part in node.values():
        _walk(part, where, changed)


def _written(statements):
    """The statements, also those that are there only under a condition."""
    for statement in statements:
        chosen = statement.get("Fn::If")
        yield from [part for part in chosen[1:] if "Effect" in part] if chosen else [statement]


def _strip_keys(statement, where, changed):
    condition = statement.get("Condition", {})
    for operator, keys in list(condition.items()):
        if not isinstance(keys, dict):
            continue
        for key in [key for key in keys if key in KEYS]:
            del keys[key]
            changed.append(f"{where}: condition {key}")
        if not keys:
            del condition[operator]
    if "Condition" in statement and not condition:
        del statement["Condition"]
