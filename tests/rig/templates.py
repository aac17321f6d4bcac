"""Reads the templates in `stacksets/` as CloudFormation does: short forms of intrinsic functions, parameters, conditions.

`Template(path, parameters)` resolves what it can, so that what is deployed can be looked at without deploying it: names, ARNs,
policies, patterns. What only AWS knows (ids that it chooses) is a name made up from the logical id.
"""

import json
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ("hub", "spoke", "organization")
NOTHING = object()

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Region": "us-east-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "stack",
    "AWS::NoValue": NOTHING,
}

# The ARN of a resource, by the property that names it.
ARNS = {
    "AWS::DynamoDB::Table": ("TableName", "arn:aws:dynamodb:{region}:{account}:table/{name}"),
    "AWS::Events::EventBus": ("Name", "arn:aws:events:{region}:{account}:event-bus/{name}"),
    "AWS::Events::Rule": ("Name", "arn:aws:events:{region}:{account}:rule/{name}"),
    "AWS::IAM::Role": ("RoleName", "arn:aws:iam::{account}:role/{name}"),
    "AWS::KMS::Key": (None, "arn:aws:kms:{region}:{account}:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
    "AWS::Lambda::Function": ("FunctionName", "arn:aws:lambda:{region}:{account}:function:{name}"),
    "AWS::Logs::LogGroup": ("LogGroupName", "arn:aws:logs:{region}:{account}:log-group:{name}:*"),
    "AWS::S3::Bucket": ("BucketName", "arn:aws:s3:::{name}"),
    "AWS::SNS::Topic": ("TopicName", "arn:aws:sns:{region}:{account}:{name}"),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", "arn:aws:states:{region}:{account}:stateMachine:{name}"),
    "AWS::SQS::Queue": ("QueueName", "arn:aws:sqs:{region}:{account}:{name}"),
}
# What `Ref` gives, where it is not the name.
REF_IS_ARN = ("AWS::SNS::Topic", "AWS::StepFunctions::StateMachine")


# What turns everything on that a parameter leaves out by default.
EVERYTHING = {"spoke": {"MirrorExemptions": "true", "TakeBackups": "true"}}


_folder = ROOT / "stacksets"


def folder(other=None):
    """Where the templates are read from; `other` from now on, where it is given."""
    global _folder
    _folder = other or _folder
    return _folder


class _Loader(yaml.SafeLoader):
    pass


def _intrinsic(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


def read(name):
    """A template as it is written, with intrinsic functions in their long form."""
    return yaml.load((_folder / f"{name}.yaml").read_text(), Loader=_Loader)


class Template:
    """A template with values for its parameters; those without a value or a default are made up from their name."""

    def __init__(self, name, parameters=None, pseudo=None):
        self.name, self.raw = name, read(name)
        self.pseudo = PSEUDO | (pseudo or {})
        self.values = {}
        for parameter, spec in self.raw["Parameters"].items():
            value = (parameters or {}).get(parameter, spec.get("Default", MADE_UP.get(parameter, parameter.lower())))
            self.values[parameter] = str(value).split(",") if spec["Type"] == "CommaDelimitedList" else str(value)
        self.conditions = {name: self.resolve(condition) for name, condition in self.raw.get("Conditions", {}).items()}
        self.resources = {
            logical: self.resolve({key: value for key, value in resource.items() if key != "Condition"})
            for logical, resource in self.raw["Resources"].items()
            if self.conditions.get(resource.get("Condition"), True)
        }

    def of_type(self, *types):
        return {logical: resource for logical, resource in self.resources.items() if resource["Type"] in types}

    def name_of(self, logical):
        resource = self.raw["Resources"][logical]
        key = ARNS.get(resource["Type"], (None, None))[0]
        return self.resolve(resource["Properties"][key]) if key else logical

    def arn_of(self, logical):
        kind = self.raw["Resources"][logical]["Type"]
        if kind not in ARNS:
            return f"{logical}.Arn"
        return ARNS[kind][1].format(name=self.name_of(logical), region=self.pseudo["AWS::Region"], account=self.pseudo["AWS::AccountId"])

    def ref(self, name):
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.values:
            return self.values[name]
        kind = self.raw["Resources"][name]["Type"]
        return self.arn_of(name) if kind in REF_IS_ARN else self.name_of(name)

    def attribute(self, logical, attribute):
        if attribute == "Arn":
            return self.arn_of(logical)
        return self.name_of(logical) if attribute in ("QueueName", "TopicName") else f"{logical}.{attribute}"

    def sub(self, text):
        def place(match):
            name = match.group(1)
            return str(self.attribute(*name.split(".", 1)) if "." in name and "::" not in name else self.ref(name))

        return re.sub(r"\$\{([^!}][^}]*)\}", place, text)

    def resolve(self, node):
        if isinstance(node, list):
            return [value for value in map(self.resolve, node) if value is not NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, value), = node.items()
            if name == "Ref":
                return self.ref(value)
            if name == "Condition" and isinstance(value, str):
                return self.resolve(self.raw["Conditions"][value])
            if name == "Fn::GetAtt":
                return self.attribute(*value)
            if name == "Fn::Sub":
                return self.sub(value)
            if name == "Fn::If":
                return self.resolve(value[1] if self.conditions[value[0]] else value[2])
            if name == "Fn::Equals":
                return self.resolve(value[0]) == self.resolve(value[1])
            if name == "Fn::Not":
                return not self.resolve(value[0])
            if name == "Fn::And":
                return all(self.resolve(value))
            if name == "Fn::Or":
                return any(self.resolve(value))
            if name == "Fn::Join":
                return value[0].join(self.resolve(value[1]))
            if name == "Fn::Split":
                return self.resolve(value[1]).split(value[0])
            if name == "Fn::Select":
                return self.resolve(value[1])[int(value[0])]
            if name.startswith("Fn::"):
                raise ValueError(f"{self.name}: `{name}` is not known here")
        resolved = {key: self.resolve(value) for key, value in node.items()}
        return {key: value for key, value in resolved.items() if value is not NOTHING}


MADE_UP = {
    "ArtifactBucket": "artifacts",
    "ArtifactKey": "ec2patch/0000000/lambda.zip",
    "OrganizationId": "o-exampleorgid",
    "CrossAccountExternalId": "external-id",
    "ExternalId": "external-id",
    "HubAccountId": "123456789012",
    "HubRegion": "us-east-1",
    "RolesRegion": "us-east-1",
    "SpokeRegions": "us-east-1,eu-central-1",
    "CanaryOrganizationalUnitIds": "ou-exam-canary01",
    "OrganizationalUnitIds": "ou-exam-workload",
    "SpokeTemplateUrl": "https://artifacts.s3.us-east-1.amazonaws.com/spoke.yaml",
}


def widest(name):
    """The template with all that it can make."""
    return Template(name, EVERYTHING.get(name))



def listed(value):
    """What a policy gives alone or as a list, as a list."""
    return value if isinstance(value, list) else [value]


def patterns():
    """What spokes forward, by the name of the file. People's own words are not forwarded (events/patterns/README.md)."""
    found = {path.stem: json.loads(path.read_text()) for path in (ROOT / "events/patterns").glob("*.json")}
    del found["tidegate"]
    return found
