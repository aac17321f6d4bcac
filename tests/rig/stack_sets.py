"""The operations that organization.yaml asks of StackSets, run in moto: an organization with two units, canaries first.

    stack_sets.py

No emulator makes stack sets from a template, so the properties of the template's two are handed to the API as they are. moto runs
within this process: over the wire it shows no account but its own. Prints where stacks came to be, and what is in them, as JSON.
"""

import json
import sys
import warnings

import boto3
from moto import mock_aws
from templates import Template, read

REGIONS = ("us-east-1", "eu-central-1")
HUB = "123456789012"
# What CreateStackSet takes of the resource's properties; the template's URL is its body here.
OF_THE_SET = ("StackSetName", "Description", "PermissionModel", "AutoDeployment", "Parameters", "Capabilities", "ManagedExecution", "CallAs")


def client(service, account=HUB, region=REGIONS[0]):
    """In any account: moto takes its word from a header, as long as no environment variable names one account."""
    made = boto3.client(service, region_name=region, aws_access_key_id="test", aws_secret_access_key="test")
    made.meta.events.register("before-sign.*.*", lambda request, **_: request.headers.add_header("x-moto-account-id", account))
    return made


def make_units(organizations):
    """Two units, with one and two accounts. The management account is in neither."""
    organizations.create_organization(FeatureSet="ALL")
    (root,) = organizations.list_roots()["Roots"]
    units = {}
    for name, accounts in (("canary", 1), ("workload", 2)):
        unit = organizations.create_organizational_unit(ParentId=root["Id"], Name=name)["OrganizationalUnit"]["Id"]
        units[unit] = []
        for number in range(accounts):
            status = organizations.create_account(AccountName=f"{name}-{number}", Email=f"{name}-{number}@example.com")["CreateAccountStatus"]
            organizations.move_account(AccountId=status["AccountId"], SourceParentId=root["Id"], DestinationParentId=unit)
            units[unit].append(status["AccountId"])
    return units


def run():
    cloudformation = client("cloudformation")
    units = make_units(client("organizations"))
    canary, workload = units
    # moto has no delegated administrators.
    chosen = {"CanaryOrganizationalUnitIds": canary, "OrganizationalUnitIds": workload, "SpokeRegions": ",".join(REGIONS), "CallAs": "SELF"}
    stack_sets = Template("organization", chosen).of_type("AWS::CloudFormation::StackSet")
    body = json.dumps(read("spoke"))
    # In the template's order: the second depends on the first.
    order = sorted(stack_sets, key=lambda logical: "DependsOn" in stack_sets[logical])
    instances = {}
    for logical in order:
        properties = stack_sets[logical]["Properties"]
        cloudformation.create_stack_set(TemplateBody=body, **{name: properties[name] for name in OF_THE_SET if name in properties})
        for group in properties["StackInstancesGroup"]:
            preferences = {name: value if isinstance(value, (str, list)) and not str(value).isdigit() else int(value) for name, value in properties["OperationPreferences"].items()}
            cloudformation.create_stack_instances(
                StackSetName=properties["StackSetName"],
                DeploymentTargets=group["DeploymentTargets"],
                Regions=group["Regions"],
                OperationPreferences=preferences,
                CallAs=properties["CallAs"],
            )
        summaries = cloudformation.list_stack_instances(StackSetName=properties["StackSetName"])["Summaries"]
        instances[properties["StackSetName"]] = sorted([summary["Account"], summary["Region"], summary["StackInstanceStatus"]["DetailedStatus"]] for summary in summaries)
    made = {}
    for accounts in units.values():
        for account in accounts:
            roles = sorted(role["RoleName"] for role in client("iam", account).list_roles()["Roles"])
            rules = {region: len(client("events", account, region).list_rules()["Rules"]) for region in REGIONS}
            made[account] = {"roles": roles, "rules": rules}
    left = [role["RoleName"] for role in client("iam").list_roles()["Roles"]]
    return {"order": order, "units": list(units.values()), "instances": instances, "made": made, "in_the_management_account": left}


def main():
    # It says on the way which types it does not know.
    warnings.simplefilter("ignore")
    with mock_aws():
        said = run()
    json.dump(said, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
