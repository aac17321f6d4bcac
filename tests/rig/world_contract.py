"""Whether `tidegate world --listen` speaks as AWS does: boto3 calls every operation, and every answer is held against botocore's own
model of it (members that the model does not have, wrong types, missing required members), errors against the modelled exceptions.

    python world_contract.py ENDPOINT [--tempo N] [--hub ID]

The world must be generated with three accounts, two Regions and sixty instances or so, findings told by events, and a tempo of 60 or
more. Prints {"ok": ..., "checks": N, "failures": [...]}; exit code 1 where something failed.
"""

import argparse
import datetime
import http.client
import json
import sys
import time
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import botocore.model

DOCUMENT = "AWS-RunPatchBaseline"
RULE = "ec2-managedinstance-patch-compliance-status-check"
AGGREGATOR = "organization"
FAILURES = []
CHECKS = 0
SEEN = set()


def check(ok, what):
    """One thing that must be so."""
    global CHECKS
    CHECKS += 1
    if not ok:
        FAILURES.append(what)
    return ok


def walk(shape, value, path, found):
    """Everything in which `value` (the JSON on the wire) differs from the model."""
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            found.append(f"{path}: {value!r} is no structure")
            return
        found.extend(f"{path}.{name}: not in the model" for name in value if name not in shape.members)
        found.extend(f"{path}.{name}: required, and missing" for name in shape.required_members if name not in value)
        for name, member in shape.members.items():
            if name in value:
                walk(member, value[name], f"{path}.{name}", found)
    elif kind == "list":
        if not isinstance(value, list):
            found.append(f"{path}: {value!r} is no list")
            return
        for place, item in enumerate(value):
            walk(shape.member, item, f"{path}[{place}]", found)
    elif kind == "map":
        if not isinstance(value, dict):
            found.append(f"{path}: {value!r} is no map")
            return
        for key, item in value.items():
            walk(shape.value, item, f"{path}[{key}]", found)
    else:
        right = {
            "string": lambda: isinstance(value, str),
            "integer": lambda: isinstance(value, int) and not isinstance(value, bool),
            "long": lambda: isinstance(value, int) and not isinstance(value, bool),
            "boolean": lambda: isinstance(value, bool),
            "timestamp": lambda: isinstance(value, (int, float)) and not isinstance(value, bool),
            "double": lambda: isinstance(value, (int, float)),
        }.get(kind)
        if right is None or not right():
            found.append(f"{path}: {value!r} is no {kind}")
        # AWS itself writes empty texts where the model has a pattern or an enumeration; other texts must be of the model.
        enum = getattr(shape, "enum", None)
        if kind == "string" and enum and value and value not in enum:
            found.append(f"{path}: {value!r} is not one of {list(enum)}")


class Caller:
    """Clients of one account and Region, whose answers are all checked."""

    def __init__(self, endpoint, account, region):
        self.account, self.region = account, region
        self.session = boto3.session.Session(aws_access_key_id=account, aws_secret_access_key="none", region_name=region)
        self.endpoint = endpoint
        self.clients = {}

    def client(self, service):
        if service not in self.clients:
            config = botocore.config.Config(retries={"total_max_attempts": 1, "mode": "standard"}, parameter_validation=False, read_timeout=20)
            client = self.session.client(service, endpoint_url=self.endpoint, config=config)
            client.meta.events.register(f"before-parse.{client.meta.service_model.service_id.hyphenize()}", self.inspect)
            self.clients[service] = client
        return self.clients[service]

    def inspect(self, operation_model, response_dict, **_):
        """The raw answer, before boto3 makes of it what it can."""
        service, name = operation_model.service_model.service_name, operation_model.name
        body = response_dict["body"]
        try:
            parsed = json.loads(body) if body else {}
        except ValueError:
            check(False, f"{service}.{name}: {body!r} is not JSON")
            return
        headers = response_dict["headers"]
        check("x-amzn-requestid" in {key.lower() for key in headers}, f"{service}.{name}: no request id")
        found = []
        if response_dict["status_code"] < 300:
            SEEN.add(f"{service}.{name}")
            if operation_model.output_shape is not None:
                walk(operation_model.output_shape, parsed, name, found)
        else:
            code = parsed.pop("__type", None)
            check(isinstance(code, str), f"{service}.{name}: an error without __type: {body!r}")
            shapes = {shape.name: shape for shape in operation_model.error_shapes}
            if code in shapes and shapes[code].members:
                walk(shapes[code], parsed, f"{name}!{code}", found)
            else:
                check(set(parsed) <= {"message", "Message"}, f"{service}.{name}!{code}: {parsed!r}")
        check(not found, f"{service}.{name}: {found[:5]}")

    def call(self, service, operation, **parameters):
        return getattr(self.client(service), operation)(**parameters)

    def pages(self, service, operation, key, **parameters):
        """All items, by botocore's own paginator."""
        found = []
        pages = 0
        for page in self.client(service).get_paginator(operation).paginate(**parameters):
            found.extend(page.get(key, []))
            pages += 1
            if pages > 500:
                check(False, f"{service}.{operation} does not end")
                break
        return found, pages

    def refused(self, code, service, operation, modelled=True, **parameters):
        """A call that must end in this error; as a class of the client where the model has it."""
        client = self.client(service)
        try:
            getattr(client, operation)(**parameters)
        except botocore.exceptions.ClientError as error:
            check(error.response["Error"]["Code"] == code, f"{service}.{operation}({parameters}): {error.response['Error']} instead of {code}")
            if modelled:
                kind = getattr(client.exceptions, code, None)
                check(kind is not None and isinstance(error, kind), f"{service}.{operation}: {code} is not a modelled exception")
            return error.response["Error"].get("Message", "")
        except Exception as error:  # noqa: BLE001
            check(False, f"{service}.{operation}({parameters}): {error!r} instead of {code}")
            return ""
        check(False, f"{service}.{operation}({parameters}): answered instead of {code}")
        return ""


def control(endpoint, path, body=None, method=None):
    request = urllib.request.Request(endpoint + path, data=None if body is None else json.dumps(body).encode(), method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def raw(endpoint, headers, body, path="/"):
    """One plain request: status and error type."""
    host = endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("POST", path, body=body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    try:
        return answer.status, json.loads(content).get("__type")
    except ValueError:
        return answer.status, content.decode(errors="replace")


def awaited(what, ask, seconds):
    """The first truthy answer within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask()
        if answer:
            check(True, what)
            return answer
        time.sleep(0.25)
    check(False, f"{what}: not within {seconds} seconds")
    return None


def organization(hub, spoke, accounts):
    tree = hub.call("organizations", "describe_organization")["Organization"]
    check(tree["MasterAccountId"] == hub.account, "the hub is the management account")
    roots, _ = hub.pages("organizations", "list_roots", "Roots")
    found, units, todo = [], 0, [roots[0]["Id"]]
    while todo:
        parent = todo.pop()
        below, _ = hub.pages("organizations", "list_organizational_units_for_parent", "OrganizationalUnits", ParentId=parent)
        here, _ = hub.pages("organizations", "list_accounts_for_parent", "Accounts", ParentId=parent, PaginationConfig={"PageSize": 1})
        units += len(below)
        todo.extend(unit["Id"] for unit in below)
        found.extend(account["Id"] for account in here)
    listed, pages = hub.pages("organizations", "list_accounts", "Accounts", PaginationConfig={"PageSize": 2})
    check(pages >= 2, "ListAccounts has pages")
    ids = sorted(account["Id"] for account in listed)
    check(sorted(found) == ids, f"the tree has {sorted(found)}, the list {ids}")
    check(set(accounts) <= set(ids) and hub.account in ids and units >= 2, "every account is listed, in units")
    check(all(account["State"] == "ACTIVE" and "Status" not in account for account in listed), "State is told, the retired Status is not")
    check(hub.call("organizations", "describe_account", AccountId=accounts[0])["Account"]["Id"] == accounts[0], "DescribeAccount")
    hub.refused("AccountNotFoundException", "organizations", "describe_account", AccountId="999999999999")
    hub.refused("InvalidInputException", "organizations", "describe_account", AccountId="abc")
    hub.refused("InvalidInputException", "organizations", "list_accounts", MaxResults=21)
    hub.refused("InvalidInputException", "organizations", "list_accounts", NextToken="forged")
    hub.refused("ParentNotFoundException", "organizations", "list_accounts_for_parent", ParentId="r-none")
    spoke.refused("AccessDeniedException", "organizations", "list_accounts")
    spoke.call("organizations", "describe_organization")


def nodes(spoke, other, tempo):
    listed, pages = spoke.pages("ssm", "describe_instance_information", "InstanceInformationList", PaginationConfig={"PageSize": 5})
    check(len(listed) >= 8 and pages >= 2, f"{len(listed)} nodes in {pages} pages")
    ids = [node["InstanceId"] for node in listed]
    check(len(set(ids)) == len(ids), "every node once")
    foreign = other.call("ssm", "describe_instance_information")["InstanceInformationList"][0]["InstanceId"]
    some = spoke.call("ssm", "describe_instance_information", Filters=[{"Key": "InstanceIds", "Values": ids[:3]}])["InstanceInformationList"]
    check(sorted(node["InstanceId"] for node in some) == sorted(ids[:3]), "the filter InstanceIds")
    online = [{"Key": "PingStatus", "Values": ["Online"]}, {"Key": "PlatformTypes", "Values": ["Linux"]}]
    linux = spoke.call("ssm", "describe_instance_information", Filters=online, MaxResults=50)["InstanceInformationList"]
    check(0 < len(linux) < len(ids) and all(node["PlatformType"] == "Linux" for node in linux), "filters by ping and platform")
    old = [{"key": "PlatformTypes", "valueSet": ["Windows"]}]
    check(spoke.call("ssm", "describe_instance_information", InstanceInformationFilterList=old)["InstanceInformationList"], "the old filters")
    said = spoke.refused("InvalidInstanceId", "ssm", "describe_instance_information", Filters=[{"Key": "InstanceIds", "Values": [ids[0], foreign]}])
    check(foreign in said, "the foreign id is named")
    spoke.refused("InvalidFilterKey", "ssm", "describe_instance_information", Filters=[{"Key": "Colour", "Values": ["red"]}])
    wrong = [{"Key": "PingStatus", "Values": ["Sleepy"]}]
    spoke.refused("InvalidInstanceInformationFilterValue", "ssm", "describe_instance_information", Filters=wrong)
    both = [{"Key": "tag:PatchGroup", "Values": ["default"]}, online[0]]
    spoke.refused("InvalidInstanceInformationFilterValue", "ssm", "describe_instance_information", Filters=both)
    tagged = spoke.call("ssm", "describe_instance_information", Filters=both[:1])["InstanceInformationList"]
    check(tagged, "the filter by tag")
    spoke.refused("InvalidNextToken", "ssm", "describe_instance_information", NextToken="forged")
    spoke.refused("ValidationException", "ssm", "describe_instance_information", modelled=False, MaxResults=4)
    states = spoke.call("ssm", "describe_instance_patch_states", InstanceIds=ids)["InstancePatchStates"]
    check(len(states) == len(ids), f"{len(states)} patch states of {len(ids)} nodes")
    check(not spoke.call("ssm", "describe_instance_patch_states", InstanceIds=[foreign])["InstancePatchStates"], "no state of a foreign node")
    spoke.refused("ValidationException", "ssm", "describe_instance_patch_states", modelled=False, InstanceIds=[f"i-{n:017x}" for n in range(51)])
    patches, pages = spoke.pages("ssm", "describe_instance_patches", "Patches", InstanceId=ids[0], PaginationConfig={"PageSize": 10})
    check(len(patches) >= 20 and pages >= 2, "patches in pages")
    spoke.refused("InvalidInstanceId", "ssm", "describe_instance_patches", InstanceId=foreign)
    spoke.refused("InvalidFilter", "ssm", "describe_instance_patches", InstanceId=ids[0], Filters=[{"Key": "Colour", "Values": ["red"]}])
    of_state(spoke, ids)
    kinds = [{"Key": "ComplianceType", "Values": ["Patch"], "Type": "EQUAL"}]
    items, _ = spoke.pages("ssm", "list_compliance_items", "ComplianceItems", ResourceIds=[ids[0]], ResourceTypes=["ManagedInstance"], Filters=kinds)
    check(len(items) == len(patches), "a compliance item for each patch")
    spoke.refused("InvalidResourceType", "ssm", "list_compliance_items", ResourceIds=[ids[0]], ResourceTypes=["Printer"])
    for name in ("get_parameter",):
        spoke.refused("UnknownOperationException", "ssm", name, modelled=False, Name="a")
    return ids, foreign


def of_state(spoke, ids):
    """The filter by state; severities in the vendor's words; CVEs as one string, of what is missing alone."""
    missing = [{"Key": "State", "Values": ["Missing"]}]
    said = {patch["State"] for patch in spoke.pages("ssm", "describe_instance_patches", "Patches", InstanceId=ids[0])[0]}
    check("INSTALLED" in said, f"states of patches: {said}")
    lacking, cves = 0, []
    for instance in ids:
        count = spoke.call("ssm", "describe_instance_patch_states", InstanceIds=[instance])["InstancePatchStates"][0]["MissingCount"]
        patches, _ = spoke.pages("ssm", "describe_instance_patches", "Patches", InstanceId=instance, Filters=missing)
        check(len(patches) == count, f"{len(patches)} patches in state Missing of {count}")
        check(all(patch["State"] == "MISSING" for patch in patches), "no other state passes the filter")
        check(all(patch["Severity"] in ("Critical", "Important", "Moderate", "Medium", "Low") for patch in patches), "severities")
        lacking += len(patches)
        cves += [cve for patch in patches for cve in patch["CVEIds"].split(",") if cve]
    check(lacking == 0 or all(cve.startswith("CVE-") for cve in cves), f"CVEs of {lacking} missing patches: {cves}")
    installed = [{"Key": "State", "Values": ["Installed"]}]
    patches, _ = spoke.pages("ssm", "describe_instance_patches", "Patches", InstanceId=ids[0], Filters=installed)
    check(patches and all(patch["CVEIds"] == "" for patch in patches), "no CVEs of what is installed")


def tags(spoke, ids):
    def arn(instance):
        return f"arn:aws:ec2:{spoke.region}:{spoke.account}:instance/{instance}"

    listed, pages = spoke.pages(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", ResourceTypeFilters=["ec2:instance"], PaginationConfig={"PageSize": 3}
    )
    check({resource["ResourceARN"] for resource in listed} == {arn(instance) for instance in ids} and pages >= 2, "every instance has tags, in pages")
    some = spoke.call("resourcegroupstaggingapi", "get_resources", ResourceARNList=[arn(ids[0]), arn("i-00000000000000000")])
    check([resource["ResourceARN"] for resource in some["ResourceTagMappingList"]] == [arn(ids[0])], "ARNs that are not there are absent")
    check(some["PaginationToken"] == "", "the last page has an empty token")
    default = [{"Key": "PatchGroup", "Values": ["default"]}]
    check(spoke.call("resourcegroupstaggingapi", "get_resources", TagFilters=default)["ResourceTagMappingList"], "the filter by tag")
    both = {"ResourceARNList": [arn(ids[0])], "ResourceTypeFilters": ["ec2:instance"]}
    spoke.refused("InvalidParameterException", "resourcegroupstaggingapi", "get_resources", **both)
    spoke.refused("InvalidParameterException", "resourcegroupstaggingapi", "get_resources", ResourcesPerPage=1000)
    spoke.refused("PaginationTokenExpiredException", "resourcegroupstaggingapi", "get_resources", PaginationToken="forged")


def install(ids, marker, **more):
    parameters = {"Operation": ["Install"], "RebootOption": ["RebootIfNeeded"], "SnapshotId": ["12345699-9405-4f69-bc5e-931500000000"]}
    return {"DocumentName": DOCUMENT, "InstanceIds": ids, "Comment": marker, "TimeoutSeconds": 600, "Parameters": parameters, **more}


def sends(spoke, foreign, ids, endpoint):
    """What SendCommand refuses."""
    said = spoke.refused("InvalidInstanceId", "ssm", "send_command", **install([ids[0], foreign], "refused"))
    check(said == f"Instances [[{foreign}]] not in a valid state for account {spoke.account}", f"InvalidInstanceId says `{said}`")
    spoke.refused("DuplicateInstanceId", "ssm", "send_command", **install([ids[0], ids[0]], "refused"))
    spoke.refused("InvalidDocument", "ssm", "send_command", **{**install(ids[:1], "refused"), "DocumentName": "AWS-RunMagic"})
    wrong = {**install(ids[:1], "refused"), "Parameters": {"Operation": ["Remove"]}}
    spoke.refused("InvalidParameters", "ssm", "send_command", **wrong)
    spoke.refused("ThrottlingException", "ssm", "send_command", modelled=False, **install([f"i-{n:017x}" for n in range(51)], "refused"))
    for change in ({"TimeoutSeconds": 29}, {"Comment": "m" * 101}, {"MaxConcurrency": "none"}, {"MaxErrors": "200%"}, {"InstanceIds": []}):
        spoke.refused("ValidationException", "ssm", "send_command", modelled=False, **{**install(ids[:1], "refused"), **change})
    spoke.refused("ValidationException", "ssm", "send_command", modelled=False, **install(["i-1"], "refused"))
    commands = control(endpoint, "/_world/commands")["commands"]
    check(not [command for command in commands if command["comment"] == "refused"], "what was refused left no trace")


def cycle(hub, spoke, ids, endpoint, tempo):
    """From a finding to COMPLIANT."""
    patience = 1800 / tempo + 30
    details = {"ConfigRuleName": RULE, "ComplianceTypes": ["NON_COMPLIANT"]}
    found = awaited("findings", lambda: spoke.pages("config", "get_compliance_details_by_config_rule", "EvaluationResults", **details)[0], patience)
    dirty = [result["EvaluationResultIdentifier"]["EvaluationResultQualifier"]["ResourceId"].rsplit("/", 1)[1] for result in found or []]
    if not check(bool(dirty), "some host is NON_COMPLIANT"):
        return
    target = dirty[0]
    resource = {"ResourceType": "AWS::SSM::PatchCompliance", "ResourceId": f"AWS::SSM::ManagedInstanceInventory/{target}"}
    before = spoke.call("config", "get_compliance_details_by_resource", **resource)["EvaluationResults"]
    check([result["ComplianceType"] for result in before] == ["NON_COMPLIANT"], "the verdict by resource")
    state = spoke.call("ssm", "describe_instance_patch_states", InstanceIds=[target])["InstancePatchStates"][0]
    check(state["MissingCount"] > 0, "patches are missing")
    missing = [{"Key": "State", "Values": ["Missing"]}]
    lacking, _ = spoke.pages("ssm", "describe_instance_patches", "Patches", InstanceId=target, Filters=missing)
    check(len(lacking) == state["MissingCount"] and len({patch["KBId"] for patch in lacking}) == len(lacking), "each missing patch by name")
    events = control(endpoint, "/_world/events?after=0&wait_ms=100")
    told = [event["event"]["detail"].get("resourceId", "") for event in events["events"]]
    check(resource["ResourceId"] in told, "an event tells the finding")

    aggregate = {"ConfigurationAggregatorName": AGGREGATOR, "ConfigRuleName": RULE, "AccountId": spoke.account, "AwsRegion": spoke.region}

    def aggregated():
        results, _ = hub.pages("config", "get_aggregate_compliance_details_by_config_rule", "AggregateEvaluationResults", **aggregate, ComplianceType="NON_COMPLIANT")
        return [one for one in results if one["EvaluationResultIdentifier"]["EvaluationResultQualifier"]["ResourceId"] == resource["ResourceId"]]

    awaited("the aggregator lists the finding", aggregated, 300 / tempo + 20)
    rules, _ = hub.pages("config", "describe_aggregate_compliance_by_config_rules", "AggregateComplianceByConfigRules", ConfigurationAggregatorName=AGGREGATOR)
    here = [line for line in rules if (line["AccountId"], line["AwsRegion"]) == (spoke.account, spoke.region)]
    check([line["Compliance"]["ComplianceType"] for line in here] == ["NON_COMPLIANT"], "the aggregator's line of the spoke")

    marker = "tidegate/0123456789abcdef/install/1"
    asked = datetime.datetime.now(datetime.timezone.utc)
    sent = spoke.call("ssm", "send_command", **install([target], marker, MaxConcurrency="100%", MaxErrors="100%"))["Command"]
    check((sent["Comment"], sent["Status"], sent["TargetCount"]) == (marker, "Pending", 1), "the command as it was asked for")
    check(sent["ExpiresAfter"] > sent["RequestedDateTime"] > asked - datetime.timedelta(seconds=5), "times are times")
    which = {"CommandId": sent["CommandId"]}

    def status():
        lines, _ = spoke.pages("ssm", "list_command_invocations", "CommandInvocations", **which, Details=True)
        return [line for line in lines if line["Status"] not in ("Pending", "InProgress")]

    ended = awaited("the invocation ends", status, patience)
    if ended:
        check((ended[0]["Status"], ended[0]["StatusDetails"]) == ("Success", "Success"), f"it ends in {ended[0]['StatusDetails']}")
        own = [plugin for plugin in ended[0]["CommandPlugins"] if plugin["ResponseFinishDateTime"] > plugin["ResponseStartDateTime"]]
        check(len(ended[0]["CommandPlugins"]) == 3 and len(own) == 1 and own[0]["ResponseCode"] == 0, "one step ran")
        got = spoke.call("ssm", "get_command_invocation", **which, InstanceId=target, PluginName=own[0]["Name"])
        check((got["Status"], got["ResponseCode"]) == ("Success", 0), "GetCommandInvocation")
    spoke.refused("InvalidPluginName", "ssm", "get_command_invocation", **which, InstanceId=target)
    nobody = {"CommandId": "00000000-0000-4000-8000-000000000000", "InstanceId": target}
    spoke.refused("InvocationDoesNotExist", "ssm", "get_command_invocation", **nobody)

    stamp = (asked - datetime.timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    filters = [{"key": "InvokedAfter", "value": stamp}, {"key": "DocumentName", "value": DOCUMENT}]
    mine = awaited("ListCommands shows it", lambda: [one for one in spoke.pages("ssm", "list_commands", "Commands", Filters=filters)[0] if one["Comment"] == marker], 20)
    check(mine and [one["CommandId"] for one in mine] == [sent["CommandId"]], "one command, found by its comment")
    check(mine and (mine[0]["Status"], mine[0]["CompletedCount"]) == ("Success", 1), "the command ends")
    later = [{"key": "InvokedAfter", "value": "2999-01-01T00:00:00Z"}]
    check(not spoke.call("ssm", "list_commands", Filters=later)["Commands"], "the filter InvokedAfter")
    early = [{"key": "InvokedBefore", "value": "2000-01-01T00:00:00Z"}, {"key": "Status", "value": "Success"}]
    check(not spoke.call("ssm", "list_commands", Filters=early)["Commands"], "the filter InvokedBefore")
    check(len(spoke.call("ssm", "list_commands", CommandId=sent["CommandId"])["Commands"]) == 1, "ListCommands by id")
    spoke.refused("InvalidFilterKey", "ssm", "list_commands", Filters=[{"key": "Colour", "value": "red"}])
    spoke.refused("InvalidNextToken", "ssm", "list_commands", NextToken="1-forged")

    state = spoke.call("ssm", "describe_instance_patch_states", InstanceIds=[target])["InstancePatchStates"][0]
    check((state["Operation"], state["MissingCount"], state["FailedCount"], state["InstalledPendingRebootCount"]) == ("Install", 0, 0, 0), "the report")
    check(state["SnapshotId"] == "12345699-9405-4f69-bc5e-931500000000" and state["OperationEndTime"] > asked, "it is of this run")
    truth = control(endpoint, "/_world/hosts")[f"{spoke.account}/{spoke.region}/{target}"]
    check(truth["patched"], f"it is patched in truth: {truth}")

    spoke.call("config", "start_config_rules_evaluation", ConfigRuleNames=[RULE])
    spoke.refused("LimitExceededException", "config", "start_config_rules_evaluation", ConfigRuleNames=[RULE])
    awaited(
        "COMPLIANT by resource",
        lambda: [one["ComplianceType"] for one in spoke.call("config", "get_compliance_details_by_resource", **resource)["EvaluationResults"]] == ["COMPLIANT"],
        900 / tempo + 30,
    )
    after = events["next"]

    def proven():
        nonlocal after
        came = control(endpoint, f"/_world/events?after={after}&wait_ms=500")
        after = came["next"]
        details = [event["event"]["detail"] for event in came["events"]]
        return [one for one in details if one.get("resourceId") == resource["ResourceId"] and one["newEvaluationResult"]["complianceType"] == "COMPLIANT"]

    awaited("an event tells COMPLIANT", proven, 60)
    awaited("the aggregator drops the finding", lambda: not aggregated(), 300 / tempo + 20)


def config(hub, spoke, ids, total):
    rules, _ = spoke.pages("config", "describe_config_rules", "ConfigRules")
    check([rule["ConfigRuleName"] for rule in rules] == [RULE], "the rule")
    spoke.refused("NoSuchConfigRuleException", "config", "describe_config_rules", ConfigRuleNames=["none"])
    spoke.refused("NoSuchConfigRuleException", "config", "start_config_rules_evaluation", ConfigRuleNames=["none"])
    spoke.refused("NoSuchConfigRuleException", "config", "get_compliance_details_by_config_rule", ConfigRuleName="none")
    spoke.refused("InvalidParameterValueException", "config", "start_config_rules_evaluation", ConfigRuleNames=[])
    spoke.refused("ValidationException", "config", "get_compliance_details_by_config_rule", modelled=False, ConfigRuleName=RULE, Limit=101)
    spoke.refused("InvalidNextTokenException", "config", "get_compliance_details_by_config_rule", ConfigRuleName=RULE, NextToken="forged")
    status, _ = spoke.pages("config", "describe_config_rule_evaluation_status", "ConfigRulesEvaluationStatus")
    check(len(status) == 1 and status[0]["FirstEvaluationStarted"], "the rule's status")
    words, _ = spoke.pages("config", "describe_compliance_by_config_rule", "ComplianceByConfigRules")
    check(words[0]["Compliance"]["ComplianceType"] in ("COMPLIANT", "NON_COMPLIANT"), "the rule's verdict")
    results, pages = spoke.pages("config", "get_compliance_details_by_config_rule", "EvaluationResults", ConfigRuleName=RULE, PaginationConfig={"PageSize": 3})
    check(len(results) >= 5 and pages >= 2, "verdicts in pages")
    nothing = {"ResourceType": "AWS::SSM::PatchCompliance", "ResourceId": "AWS::SSM::ManagedInstanceInventory/i-00000000000000000"}
    check(not spoke.call("config", "get_compliance_details_by_resource", **nothing)["EvaluationResults"], "no verdict on nothing")

    own = hub.call("config", "describe_configuration_aggregators")["ConfigurationAggregators"]
    check([one["ConfigurationAggregatorName"] for one in own] == [AGGREGATOR], "the aggregator")
    check(not spoke.call("config", "describe_configuration_aggregators")["ConfigurationAggregators"], "spokes have none")
    name = {"ConfigurationAggregatorName": AGGREGATOR}
    query = "SELECT accountId, awsRegion, COUNT(*) WHERE resourceType = 'AWS::EC2::Instance' GROUP BY accountId, awsRegion"
    counted, _ = hub.pages("config", "select_aggregate_resource_config", "Results", Expression=query, **name)
    check(sum(json.loads(row)["COUNT(*)"] for row in counted) == total, f"all {total} instances are counted")
    query = f"SELECT resourceId, accountId, awsRegion, tags WHERE resourceType = 'AWS::EC2::Instance' AND accountId = '{spoke.account}' AND awsRegion = '{spoke.region}'"
    listed, pages = hub.pages("config", "select_aggregate_resource_config", "Results", Expression=query, Limit=5, **name)
    check(sorted(json.loads(row)["resourceId"] for row in listed) == sorted(ids) and pages >= 2, "instances are listed, in pages")
    check(all(json.loads(row)["tags"] for row in listed), "with their tags")
    for wrong in ("SELECT *", "SELECT accountId WHERE accountId LIKE '1%'", "nonsense"):
        hub.refused("InvalidExpressionException", "config", "select_aggregate_resource_config", Expression=wrong, **name)
    spoke.refused("NoSuchConfigurationAggregatorException", "config", "select_aggregate_resource_config", Expression=query, **name)
    named = [{"SourceAccountId": spoke.account, "SourceRegion": spoke.region, "ResourceId": one, "ResourceType": "AWS::EC2::Instance"} for one in (ids[0], "i-00000000000000000")]
    got = hub.call("config", "batch_get_aggregate_resource_config", ResourceIdentifiers=named, **name)
    check((len(got["BaseConfigurationItems"]), len(got["UnprocessedResourceIdentifiers"])) == (1, 1), "one is there, one is not")
    hub.refused("NoSuchConfigurationAggregatorException", "config", "batch_get_aggregate_resource_config", ResourceIdentifiers=named, ConfigurationAggregatorName="other")
    wrong = {"ConfigurationAggregatorName": "other", "ConfigRuleName": RULE, "AccountId": spoke.account, "AwsRegion": spoke.region}
    hub.refused("NoSuchConfigurationAggregatorException", "config", "get_aggregate_compliance_details_by_config_rule", **wrong)


def exceptions(spoke):
    """Remediation exceptions: of non-compliant resources, replaced, listed and taken back."""
    wanted = {"ConfigRuleName": RULE, "ComplianceTypes": ["NON_COMPLIANT"]}

    def two():
        found, _ = spoke.pages("config", "get_compliance_details_by_config_rule", "EvaluationResults", **wanted)
        return len(found) >= 2 and [one["EvaluationResultIdentifier"]["EvaluationResultQualifier"] for one in found]

    named = awaited("two findings to except", two, 90)
    if not named:
        return
    keys = [{"ResourceType": one["ResourceType"], "ResourceId": one["ResourceId"]} for one in named[:2]]
    nobody = {"ResourceType": "AWS::SSM::PatchCompliance", "ResourceId": "AWS::SSM::ManagedInstanceInventory/i-00000000000000000"}
    rule, until = {"ConfigRuleName": RULE}, datetime.datetime(2999, 1, 1, tzinfo=datetime.timezone.utc)
    put = spoke.call("config", "put_remediation_exceptions", **rule, ResourceKeys=[*keys, nobody], Message="payments answers for it", ExpirationTime=until)
    failed = [(item["ResourceId"], batch["FailureMessage"]) for batch in put["FailedBatches"] for item in batch["FailedItems"]]
    check([one for one, _ in failed] == [nobody["ResourceId"]] and failed[0][1], f"what is not non-compliant is given back: {failed}")
    # botocore has no paginator for it.
    first = spoke.call("config", "describe_remediation_exceptions", **rule, Limit=1)
    second = spoke.call("config", "describe_remediation_exceptions", **rule, Limit=1, NextToken=first["NextToken"])
    listed = [*first["RemediationExceptions"], *second["RemediationExceptions"]]
    said = {(one["ResourceId"], one["Message"], one["ExpirationTime"]) for one in listed}
    check(said == {(key["ResourceId"], "payments answers for it", until) for key in keys} and "NextToken" not in second, f"exceptions, in pages: {listed}")
    spoke.refused("InvalidNextTokenException", "config", "describe_remediation_exceptions", **rule, NextToken="forged")
    spoke.call("config", "put_remediation_exceptions", **rule, ResourceKeys=keys[:1], Message="somebody else does")
    (own,) = spoke.call("config", "describe_remediation_exceptions", **rule, ResourceKeys=keys[:1])["RemediationExceptions"]
    check(own["Message"] == "somebody else does" and "ExpirationTime" not in own, "one takes the place of the other")
    spoke.refused("NoSuchRemediationExceptionException", "config", "delete_remediation_exceptions", **rule, ResourceKeys=[keys[0], nobody])
    spoke.call("config", "delete_remediation_exceptions", **rule, ResourceKeys=keys)
    check(not spoke.call("config", "describe_remediation_exceptions", **rule)["RemediationExceptions"], "nothing is left")
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    spoke.refused("InvalidParameterValueException", "config", "put_remediation_exceptions", **rule, ResourceKeys=keys, ExpirationTime=past)
    spoke.refused("InvalidParameterValueException", "config", "put_remediation_exceptions", ConfigRuleName="none", ResourceKeys=keys)
    for wrong in ({"ResourceKeys": []}, {"ResourceKeys": keys * 51}, {"ResourceKeys": keys, "Message": "x" * 1025}, {"ResourceKeys": [{**keys[0], "ResourceType": ""}]}):
        spoke.refused("ValidationException", "config", "put_remediation_exceptions", modelled=False, **rule, **wrong)


def setup(hub, spoke):
    """What a spoke is set up with: read by `tidegate doctor`."""
    recorders = spoke.call("config", "describe_configuration_recorders")["ConfigurationRecorders"]
    check([(one["name"], one["recordingGroup"]["allSupported"], one["recordingMode"]["recordingFrequency"]) for one in recorders] == [("default", True, "CONTINUOUS")], "one recorder")
    status = spoke.call("config", "describe_configuration_recorder_status", ConfigurationRecorderNames=["default"])["ConfigurationRecordersStatus"]
    check([(one["name"], one["recording"], one["lastStatus"]) for one in status] == [("default", True, "Success")], "it records")
    spoke.refused("NoSuchConfigurationRecorderException", "config", "describe_configuration_recorders", ConfigurationRecorderNames=["other"])
    calendars = {name: hub.call("ssm", "get_calendar_state", CalendarNames=[name]) for name in ["change-calendar", "moratorium"]}
    check([one["State"] for one in calendars.values()] == ["OPEN", "CLOSED"], "a change calendar that is open, and one that is closed")
    check(calendars["moratorium"]["AtTime"].endswith("Z"), "when a calendar was so")
    both = hub.call("ssm", "get_calendar_state", CalendarNames=["change-calendar", f"arn:aws:ssm:{hub.region}:{hub.account}:document/moratorium"])
    check(both["State"] == "CLOSED", "two calendars are open only if both are")
    hub.refused("InvalidDocument", "ssm", "get_calendar_state", CalendarNames=["other"])
    spoke.refused("InvalidDocument", "ssm", "get_calendar_state", CalendarNames=["change-calendar"])
    baselines, pages = spoke.pages("ssm", "describe_patch_baselines", "BaselineIdentities", PaginationConfig={"PageSize": 5})
    systems = [one["OperatingSystem"] for one in baselines if one["DefaultBaseline"]]
    check(pages >= 2 and len(set(systems)) == len(systems) and {"WINDOWS", "AMAZON_LINUX_2023"} <= set(systems), "a default baseline for each system")
    ubuntu = [{"Key": "OPERATING_SYSTEM", "Values": ["UBUNTU"]}, {"Key": "OWNER", "Values": ["AWS"]}]
    check(len(spoke.call("ssm", "describe_patch_baselines", Filters=ubuntu)["BaselineIdentities"]) == 1, "baselines by system")
    associations, _ = spoke.pages("ssm", "list_associations", "Associations")
    check([one["Name"] for one in associations] == ["AWS-GatherSoftwareInventory"], "an association that patches nothing")
    one = spoke.call("ssm", "describe_association", AssociationId=associations[0]["AssociationId"])["AssociationDescription"]
    check(one["Parameters"] == {"applications": ["Enabled"]}, "its parameters")
    none = [{"key": "Name", "value": "AWS-RunPatchBaseline"}]
    check(not spoke.call("ssm", "list_associations", AssociationFilterList=none)["Associations"], "associations by document")
    spoke.refused("AssociationDoesNotExist", "ssm", "describe_association", AssociationId="00000000-0000-4000-8000-000000000000")
    spoke.refused("InvalidNextToken", "ssm", "list_associations", NextToken="forged")
    windows, _ = spoke.pages("ssm", "describe_maintenance_windows", "WindowIdentities")
    check([one["Enabled"] for one in windows] == [True], "a maintenance window that patches nothing")
    window = {"WindowId": windows[0]["WindowId"]}
    tasks, _ = spoke.pages("ssm", "describe_maintenance_window_tasks", "Tasks", **window)
    check([one["TaskArn"] for one in tasks] == ["AWS-UpdateSSMAgent"], "its task")
    task = spoke.call("ssm", "get_maintenance_window_task", **window, WindowTaskId=tasks[0]["WindowTaskId"])
    check("Parameters" in task["TaskInvocationParameters"]["RunCommand"], "the task's parameters")
    spoke.refused("DoesNotExistException", "ssm", "describe_maintenance_window_tasks", WindowId="mw-0c50858d01example")
    spoke.refused("DoesNotExistException", "ssm", "get_maintenance_window_task", **window, WindowTaskId="4f7ca192-7e9a-40fe-9192-5cb15abcdef0")
    sts = hub.session.client("sts", endpoint_url=hub.endpoint)
    check(sts.get_caller_identity()["Account"] == hub.account, "who the hub is")
    role = {"RoleArn": f"arn:aws:iam::{spoke.account}:role/PatchExecRole", "RoleSessionName": "contract"}
    keys = sts.assume_role(**role, ExternalId="an-external-id")["Credentials"]
    check(keys["AccessKeyId"] == spoke.account and keys["Expiration"] > datetime.datetime.now(datetime.timezone.utc), "a session in the spoke")
    try:
        sts.assume_role(**role)
        check(False, "a role opens to who does not say the external id")
    except botocore.exceptions.ClientError as error:
        check(error.response["Error"]["Code"] == "AccessDenied", f"{error}")


def cancelled(spoke, ids):
    sent = spoke.call("ssm", "send_command", **install(ids[:2], "tidegate/fedcba9876543210/install/1"))["Command"]
    spoke.call("ssm", "cancel_command", CommandId=sent["CommandId"])
    spoke.refused("InvalidCommandId", "ssm", "cancel_command", CommandId="00000000-0000-4000-8000-000000000000")
    spoke.refused("ValidationException", "ssm", "cancel_command", modelled=False, CommandId="x")

    def ended():
        lines = spoke.call("ssm", "list_command_invocations", CommandId=sent["CommandId"])["CommandInvocations"]
        return lines and all(line["Status"] == "Cancelled" for line in lines)

    awaited("a command that no agent had taken is cancelled", ended, 20)


def faults(spoke, ids, endpoint):
    """Faults on demand, as boto3 sees them."""

    def ask(**fault):
        control(endpoint, "/_world/fault", {"account": spoke.account, "region": spoke.region, **fault})

    def times():
        calls = control(endpoint, "/_world/counts")["calls"]
        return sum(one["times"] for one in calls if (one["account"], one["region"], one["operation"]) == (spoke.account, spoke.region, "ssm:ListCommands"))

    before = times()
    ask(operation="ListCommands", kind="throttle", times=2)
    spoke.refused("ThrottlingException", "ssm", "list_commands", modelled=False)
    spoke.refused("ThrottlingException", "ssm", "list_commands", modelled=False)
    spoke.call("ssm", "list_commands")
    check(times() == before + 3, "every try is counted")
    ask(operation="ssm:ListCommands", kind="error500")
    spoke.refused("InternalServerError", "ssm", "list_commands")
    ask(operation="ListCommands", kind="reset")
    try:
        spoke.call("ssm", "list_commands")
        check(False, "a reset connection is answered")
    except (botocore.exceptions.ConnectionClosedError, botocore.exceptions.EndpointConnectionError) as error:
        check(True, str(error))
    marker = "tidegate/00000000feedface/scan/1"
    scan = {**install([ids[-1]], marker), "Parameters": {"Operation": ["Scan"]}}
    ask(operation="SendCommand", kind="lose_answer")
    try:
        spoke.call("ssm", "send_command", **scan)
        check(False, "a lost answer is answered")
    except botocore.exceptions.ConnectionClosedError as error:
        check(True, str(error))
    sent = [one for one in control(endpoint, "/_world/commands")["commands"] if one["comment"] == marker]
    check(len(sent) == 1, "what lost its answer was accepted, once")
    awaited("it is found by its comment", lambda: [one for one in spoke.call("ssm", "list_commands")["Commands"] if one["Comment"] == marker], 20)
    control(endpoint, "/_world/fault", method="DELETE")


def automation(spoke, ids, tempo):
    """An execution over two instances: its token, its children, its end."""
    token = "11111111-2222-4333-8444-555555555555"
    start = {
        "DocumentName": "AWSSupport-ConfigureEC2Metadata",
        "Parameters": {"EnforceIMDSv2": ["required"]},
        "ClientToken": token,
        "TargetParameterName": "InstanceId",
        "Targets": [{"Key": "ParameterValues", "Values": ids[:2]}],
        "MaxConcurrency": "2",
        "MaxErrors": "100%",
    }
    execution = spoke.call("ssm", "start_automation_execution", **start)["AutomationExecutionId"]
    check(spoke.call("ssm", "start_automation_execution", **start)["AutomationExecutionId"] == execution, "the same token is the same execution")
    other = {**start, "Targets": [{"Key": "ParameterValues", "Values": ids[:1]}]}
    spoke.refused("IdempotentParameterMismatch", "ssm", "start_automation_execution", **other)
    fresh = {**start, "ClientToken": "11111111-2222-4333-8444-666666666666"}
    spoke.refused("AutomationDefinitionNotFoundException", "ssm", "start_automation_execution", **{**fresh, "DocumentName": "No-SuchRunbook"})
    spoke.refused("InvalidTarget", "ssm", "start_automation_execution", **{**fresh, "Targets": [{"Key": "ParameterValues", "Values": []}]})
    wrong = {**fresh, "Parameters": {"InstanceId": ids[:1]}}
    spoke.refused("InvalidAutomationExecutionParametersException", "ssm", "start_automation_execution", **wrong)

    def ended():
        whole = spoke.call("ssm", "get_automation_execution", AutomationExecutionId=execution)["AutomationExecution"]
        return whole if whole["AutomationExecutionStatus"] not in ("Pending", "InProgress") else None

    whole = awaited("the execution ends", ended, 300 / tempo + 30)
    if whole:
        check(whole["AutomationExecutionStatus"] == "Success" and whole["ExecutionEndTime"] > whole["ExecutionStartTime"], f"{whole}")
        check(whole["Targets"][0]["Values"] == ids[:2] and whole["Parameters"] == start["Parameters"], "targets and parameters")
    below = [{"Key": "ParentExecutionId", "Values": [execution]}]
    parts, _ = spoke.pages("ssm", "describe_automation_executions", "AutomationExecutionMetadataList", Filters=below, PaginationConfig={"PageSize": 1})
    check(sorted(part["Target"] for part in parts) == sorted(ids[:2]), "a child for each target")
    check(all(part["AutomationExecutionStatus"] == "Success" and part["ParentAutomationExecutionId"] == execution for part in parts), f"{parts}")
    since = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    named = [{"Key": "DocumentNamePrefix", "Values": ["AWSSupport-Configure"]}, {"Key": "StartTimeAfter", "Values": [since]}]
    listed, _ = spoke.pages("ssm", "describe_automation_executions", "AutomationExecutionMetadataList", Filters=named)
    tops = [one for one in listed if "ParentAutomationExecutionId" not in one]
    check([one["AutomationExecutionId"] for one in tops] == [execution] and len(listed) == 3, f"{len(listed)} lines")
    spoke.refused("InvalidFilterKey", "ssm", "describe_automation_executions", Filters=[{"Key": "TagKey", "Values": ["a"]}])
    spoke.refused("InvalidNextToken", "ssm", "describe_automation_executions", NextToken="1-forged")
    nobody = "00000000-0000-4000-8000-000000000000"
    spoke.refused("AutomationExecutionNotFoundException", "ssm", "get_automation_execution", AutomationExecutionId=nobody)
    spoke.refused("InvalidAutomationStatusUpdateException", "ssm", "stop_automation_execution", AutomationExecutionId=execution, Type="Cancel")
    running = spoke.call("ssm", "start_automation_execution", **fresh)["AutomationExecutionId"]
    spoke.call("ssm", "stop_automation_execution", AutomationExecutionId=running, Type="Cancel")
    whole = spoke.call("ssm", "get_automation_execution", AutomationExecutionId=running)["AutomationExecution"]
    check(whole["AutomationExecutionStatus"] == "Cancelled", f"stopped: {whole['AutomationExecutionStatus']}")


def signatures(spoke, endpoint):
    now = datetime.datetime.now(datetime.timezone.utc)

    def signed(at, key=spoke.account, service="ssm", region=spoke.region):
        stamp = at.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{key}/{stamp[:8]}/{region}/{service}/aws4_request"
        authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
        return {"X-Amz-Target": "AmazonSSM.ListCommands", "X-Amz-Date": stamp, "Authorization": authorization, "Content-Type": "application/x-amz-json-1.1"}

    good = signed(now)
    check(raw(endpoint, good, "{}") == (200, None), "a plain call")
    check(raw(endpoint, good, "") == (200, None), "a call without a body")
    for headers, body, code in [
        ({key: value for key, value in good.items() if key != "Authorization"}, "{}", "MissingAuthenticationTokenException"),
        ({**good, "Authorization": "Bearer x"}, "{}", "IncompleteSignatureException"),
        (signed(now - datetime.timedelta(minutes=6)), "{}", "InvalidSignatureException"),
        (signed(now + datetime.timedelta(minutes=6)), "{}", "InvalidSignatureException"),
        (signed(now, service="config"), "{}", "InvalidSignatureException"),
        (signed(now, key=""), "{}", "UnrecognizedClientException"),
        (signed(now, key="999999999999"), "{}", "UnrecognizedClientException"),
        (good, "{", "SerializationException"),
        (good, "[1]", "SerializationException"),
        (good, '{"MaxResults":"many"}', "SerializationException"),
        (good, b"\xff\xfe", "SerializationException"),
        (good, '{"Filters":[{}]}', "ValidationException"),
        ({**good, "X-Amz-Target": "AmazonSSM.Nonsense"}, "{}", "UnknownOperationException"),
        ({**good, "X-Amz-Target": "Nonsense"}, "{}", "UnknownOperationException"),
    ]:
        answer = raw(endpoint, headers, body)
        check(answer == (400, code), f"{answer} instead of {code} for {body!r}")
    status, _ = raw(endpoint, good, "{}", path="/other")
    check(status == 404, "another path is not there")
    status, _ = raw(endpoint, good, b"x" * (2 * 1024 * 1024))
    check(status == 413, "what is too large is refused")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("--tempo", type=int, default=60)
    parser.add_argument("--hub", default="123456789012")
    given = parser.parse_args()
    health = control(given.endpoint, "/_world/health")
    accounts = health["accounts"]
    hub = Caller(given.endpoint, given.hub, "us-east-1")
    spoke, other = Caller(given.endpoint, accounts[0], "us-east-1"), Caller(given.endpoint, accounts[1], "eu-west-1")
    steps = [lambda: organization(hub, spoke, accounts)]
    known = {}

    def step_nodes():
        known["ids"], known["foreign"] = nodes(spoke, other, given.tempo)

    steps += [
        step_nodes,
        lambda: tags(spoke, known["ids"]),
        lambda: sends(spoke, known["foreign"], known["ids"], given.endpoint),
        lambda: config(hub, spoke, known["ids"], health["hosts"]),
        lambda: exceptions(spoke),
        lambda: setup(hub, spoke),
        lambda: cycle(hub, spoke, known["ids"], given.endpoint, given.tempo),
        lambda: cancelled(other, [one["InstanceId"] for one in other.call("ssm", "describe_instance_information")["InstanceInformationList"]]),
        lambda: faults(spoke, known["ids"], given.endpoint),
        lambda: automation(spoke, known["ids"], given.tempo),
        lambda: signatures(spoke, given.endpoint),
    ]
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001
            import traceback

            check(False, f"{error!r} at {traceback.extract_tb(error.__traceback__)[-1]}")
    counts = control(given.endpoint, "/_world/counts")
    check(counts["commands"]["doubled"] == 0 and counts["commands"]["overlaps"] == 0, f"{counts['commands']}")
    print(json.dumps({"ok": not FAILURES, "checks": CHECKS, "operations": len(SEEN), "seen": sorted(SEEN), "failures": FAILURES}))
    return 0 if not FAILURES else 1


if __name__ == "__main__":
    sys.exit(main())
