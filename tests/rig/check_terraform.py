"""Everything about `stacksets/terraform` that an HCL parser and the templates can say. No provider is asked, and nothing is planned.

    check_terraform.py [--templates FOLDER] [CHECK ...]

prints, for each check, how much it looked at and what is wrong, as JSON. Formatting is indentation and aligned equals signs, which is
what `terraform fmt` does to a file that is written with single spaces otherwise.
"""

import json
import re

import hcl2

import checks
from templates import ROOT, folder, read

# Each folder deploys the template of its name.
MODULES = ("hub", "spoke", "organization")
# The variables that the original documents had, with their types (the third of them: hub and spoke).
ORIGINAL = {
    "hub": {
        "region": "string",
        "orchestrator_account_id": "string",
        "name_prefix": "string",
        "bedrock_agent_id": "string",
        "bedrock_agent_alias_id": "string",
        "sns_email_subscriptions": "list(string)",
        "wave_pause_seconds": "number",
        "abort_on_issues": "bool",
        "wave_rules": "list(object({name=string,schedule_expression=string,accounts=list(string),regions=list(string)}))",
    },
    "spoke": {"region": "string", "orchestrator_account_id": "string", "role_name": "string"},
}
DEFAULTS = {"hub": {"wave_pause_seconds": 300, "abort_on_issues": True}, "spoke": {"region": "us-east-1", "role_name": "PatchExecRole"}}


class Module:
    """The files of one folder, as one: text and parsed blocks."""

    def __init__(self, name):
        self.name, self.path = name, folder() / "terraform" / name
        self.texts = {path.name: path.read_text() for path in sorted(self.path.glob("*.tf"))}
        self.code = "\n".join(without_comments(text) for text in self.texts.values())
        self.blocks = [hcl2.loads(text) for text in self.texts.values()]

    def labelled(self, kind):
        """Blocks with one label, such as `variable "region"`."""
        return {unquoted(label): body for parsed in self.blocks for block in parsed.get(kind, []) for label, body in block.items() if not label.startswith("__")}

    def resources(self, kind):
        of_kind = [body for parsed in self.blocks for block in parsed.get("resource", []) for label, body in block.items() if unquoted(label) == kind]
        return {unquoted(label): body for block in of_kind for label, body in block.items() if not label.startswith("__")}

    def local(self, name):
        return next((block[name] for parsed in self.blocks for block in parsed.get("locals", []) if name in block), None)

    def example(self):
        return ROOT / "examples" / f"{self.name}.auto.tfvars.example"


def unquoted(value):
    return value[1:-1] if isinstance(value, str) and len(value) > 1 and value.startswith('"') and value.endswith('"') else value


def without_comments(text):
    return "\n".join(mask(line)[1] for line in text.split("\n"))


def mask(line):
    """The line with what stands in strings blanked out, and the line as it is, both without a comment."""
    masked, stack = [], []
    for at, char in enumerate(line):
        inside = bool(stack) and stack[-1] == '"'
        if inside:
            if char == '"' and (len(line[:at]) - len(line[:at].rstrip("\\"))) % 2 == 0:
                stack.pop()
            elif char == "{" and line[at - 1] in "$%":
                stack.append("{")
            masked.append("_")
        elif char == '"':
            stack.append('"')
            masked.append("_")
        elif stack and char in "{}":
            stack.append("{") if char == "{" else stack.pop()
            masked.append("_")
        elif not stack and (char == "#" or line.startswith("//", at)):
            return "".join(masked).rstrip(), line[:at].rstrip()
        else:
            masked.append("_" if stack else char)
    return "".join(masked), line


def check_parse():
    """Every file is HCL, and no folder lacks what says which provider and which Terraform it was written for."""
    faults, looked = [], 0
    for name in MODULES:
        module = Module(name)
        looked += len(module.texts)
        terraform = [block for parsed in module.blocks for block in parsed.get("terraform", [])]
        if len(terraform) != 1 or "required_version" not in terraform[0] or "aws" not in terraform[0].get("required_providers", [{}])[0]:
            faults.append(f"{name}: versions.tf names no Terraform and no provider")
        faults += [f"{name}: `provisioner` runs commands that no plan shows" for _ in re.findall(r"\bprovisioner\b", module.code)]
    return looked, faults


def check_variables():
    """The original documents' variables are there under their names; each is typed, described and used, and each that is used is there."""
    faults, looked = [], 0
    for name in MODULES:
        module = Module(name)
        variables = module.labelled("variable")
        looked += len(variables)
        for variable, about in variables.items():
            if "type" not in about or not unquoted(about.get("description", "")):
                faults.append(f"{name}: `{variable}` has no type or no description")
            if re.search(r"external_id$", variable) and about.get("sensitive") is not True:
                faults.append(f"{name}: `{variable}` is a secret and not sensitive")
        own = "\n".join(without_comments(text) for file, text in module.texts.items() if file != "variables.tf")
        used = set(re.findall(r"\bvar\.([a-z_]+)", own))
        faults += [f"{name}: `var.{variable}` is not declared" for variable in sorted(used - variables.keys())]
        faults += [f"{name}: nothing uses `{variable}`" for variable in sorted(variables.keys() - used)]
        for variable, kind in ORIGINAL.get(name, {}).items():
            about = variables.get(variable, {})
            found = re.sub(r"\s", "", re.sub(r"^\$\{(.*)\}$", r"\1", str(unquoted(about.get("type", "")))))
            if found != kind:
                faults.append(f"{name}: `{variable}` of the original documents is `{found or 'missing'}`, not `{kind}`")
            default = DEFAULTS.get(name, {}).get(variable)
            if default is not None and unquoted(about.get("default")) != default:
                faults.append(f"{name}: the default of `{variable}` is not `{default}`")
        if module.example().exists():
            values = {key for key in hcl2.loads(module.example().read_text()) if not key.startswith("__")}
            needed = {variable for variable, about in variables.items() if "default" not in about}
            faults += [f"{module.example().name}: `{key}` is no variable of {name}" for key in sorted(values - variables.keys())]
            faults += [f"{module.example().name}: `{key}` of {name} is missing" for key in sorted(needed - values)]
    return looked, faults


def check_parameters():
    """What is passed is taken, and what a template needs is passed; whatever else it takes can be passed by the variable `parameters`."""
    faults, looked = [], 0
    for name in MODULES:
        module, taken = Module(name), read(name)["Parameters"]
        passed = {key for key in module.local("parameters") or {} if not key.startswith("__")}
        looked += len(passed)
        needed = {parameter for parameter, about in taken.items() if "Default" not in about}
        faults += [f"{name}: {name}.yaml takes no `{key}`" for key in sorted(passed - taken.keys())]
        faults += [f"{name}: `{key}` of {name}.yaml is not passed" for key in sorted(needed - passed)]
        stacks = module.resources("aws_cloudformation_stack")
        if [stack.get("parameters") for stack in stacks.values()] != ["${merge(local.parameters, var.parameters)}"]:
            faults.append(f"{name}: its one stack does not take `merge(local.parameters, var.parameters)`")
        if f'"${{path.module}}/../../{name}.yaml"' not in module.code:
            faults.append(f"{name}: does not deploy {name}.yaml")
        # A file of more than 51,200 bytes can't be given as a body.
        is_small = (folder() / f"{name}.yaml").stat().st_size <= 51_200
        if not is_small and any("template_body" in stack for stack in stacks.values()):
            faults.append(f"{name}: {name}.yaml is too large for `template_body`")
    return looked, faults


def check_outputs():
    """What is read from a stack is an output of its template."""
    faults, looked = [], 0
    for name in MODULES:
        module, outputs = Module(name), read(name).get("Outputs", {})
        for output, about in module.labelled("output").items():
            if not unquoted(about.get("description", "")):
                faults.append(f"{name}: the output `{output}` has no description")
        always = re.findall(r'\.outputs\["(\w+)"\]', module.code)
        perhaps = re.findall(r'lookup\(aws_cloudformation_stack\.\w+\.outputs, "(\w+)"', module.code)
        looked += len(always) + len(perhaps)
        faults += [f"{name}: {name}.yaml has no output `{key}`" for key in always + perhaps if key not in outputs]
        faults += [f"{name}: the output `{key}` of {name}.yaml is not always there: look it up" for key in always if "Condition" in outputs.get(key, {})]
        faults += [f"{name}: the output `{key}` of {name}.yaml is always there" for key in perhaps if key in outputs and "Condition" not in outputs[key]]
    return looked, faults


def check_runs():
    """Schedules ask for runs in words of run-input.schema.json, by an event that the work queue's reader knows, and with names of hub.yaml."""
    module, faults = Module("hub"), []
    known = set()

    def names(node):
        if isinstance(node, dict):
            known.update(node.get("properties", {}))
            for part in node.values():
                names(part)
        elif isinstance(node, list):
            for part in node:
                names(part)

    names(json.loads((ROOT / "events/schema/run-input.schema.json").read_text()))
    runs, scheduled, inputs = (str(module.local(name)) for name in ("runs", "scheduled", "inputs"))
    keys = re.findall(r"(?<![\w.])(\w+) = ", runs)
    faults += [f"hub: `{key}` is no word of a run input" for key in keys if key not in known]
    faults += [f"hub: runs have no `{key}`" for key in ("accountWaves", "ec2", "bedrock", "wavePauseSeconds", "abortOnIssues") if key not in keys]
    reader = (ROOT / "events/src/wire/schedule.rs").read_text()
    detail_type = re.search(r'const RUN: &str = "([^"]+)"', reader).group(1)
    for wanted in (f'"{detail_type}"', '"<aws.scheduler.scheduled-time>"', '"<aws.scheduler.execution-id>"', '"<aws.scheduler.schedule-arn>"', "run = run"):
        if wanted not in scheduled:
            faults.append(f"hub: what a schedule sends has no `{wanted}`")
    for escape in ("u003c", "u003e"):
        if escape not in inputs:
            faults.append(f"hub: jsonencode's \\{escape} stays in what a schedule sends")
    hub = read("hub")
    queues = {queue["Properties"]["QueueName"]["Fn::Sub"] for queue in hub["Resources"].values() if queue["Type"] == "AWS::SQS::Queue"}
    schedule = json.dumps(module.resources("aws_scheduler_schedule"))
    found = re.findall(r":\$\{var\.name_prefix\}-([a-z]+)\\", schedule)
    faults += [f"hub: hub.yaml makes no queue `{queue}`" for queue in found if "${NamePrefix}-" + queue not in queues]
    if found != ["work", "refused"]:
        faults.append(f"hub: schedules send to {found}")
    role = re.search(r'"(\w+)", \\?"(\w+)\\?"\)', str(module.local("scheduler_role_name")).replace('\\"', '"'))
    if not role or hub["Parameters"][role.group(1)]["Default"] != role.group(2):
        faults.append("hub: schedules do not use the role of `SchedulerRoleName`")
    return len(keys) + len(found), faults


def columns_of(line):
    """How many brackets the line opens more than it closes, and where its equals sign stands if a whole expression follows it."""
    masked, _ = mask(line)
    net = sum(masked.count(char) for char in "{[(") - sum(masked.count(char) for char in "}])")
    sign = re.search(r"(?<![=!<>])=(?![=>])", masked)
    if sign and sign.start() > 0:
        rest = masked[sign.start() :]
        if sum(rest.count(char) for char in "{[(") == sum(rest.count(char) for char in "}])"):
            return net, sign.start()
    return net, None


def check_format():
    """Indentation, and equals signs of neighbours below each other: what `terraform fmt` would move."""
    faults, looked = [], 0
    texts = {f"{name}/{file}": text for name in MODULES for file, text in Module(name).texts.items()}
    texts |= {path.name: path.read_text() for path in sorted((ROOT / "examples").glob("*.tfvars.example"))}
    for place, text in texts.items():
        if not text.endswith("\n") or text.endswith("\n\n"):
            faults.append(f"{place}: does not end with one newline")
        indents, chain = [], []

        def close(chain):
            wanted = max((len(lead) for _, lead, _ in chain), default=0) + 1
            faults.extend(f"{place}:{number}: its `=` is at column {sign + 1}, and its neighbours want {wanted + 1}" for number, _, sign in chain if sign != wanted)
            chain.clear()

        for number, line in enumerate(text.split("\n")[:-1], 1):
            looked += 1
            if line != line.rstrip() or "\t" in line:
                faults.append(f"{place}:{number}: a tab, or blanks at its end")
            net, sign = columns_of(line)
            if not line.strip():
                close(chain)
                continue
            closed = -net
            while closed > 0 and indents:
                if closed < indents[-1]:
                    indents[-1] -= closed
                    closed = 0
                else:
                    closed -= indents.pop()
            if len(line) - len(line.lstrip()) != 2 * len(indents):
                faults.append(f"{place}:{number}: is not indented by {2 * len(indents)}")
            if net > 0:
                indents.append(net)
            if sign is None:
                close(chain)
                if re.search(r"[\w\]\"](  +|)=(?![=>])|[^=!<>]=(  +|)[^\s=>]", mask(line)[0].lstrip()):
                    faults.append(f"{place}:{number}: not one blank on each side of its `=`")
            else:
                chain.append((number, line[:sign].rstrip(), sign))
        close(chain)
    return looked, faults


CHECKS = {
    "parse": check_parse,
    "variables": check_variables,
    "parameters": check_parameters,
    "outputs": check_outputs,
    "runs": check_runs,
    "format": check_format,
}


if __name__ == "__main__":
    checks.main(CHECKS, "stacksets/", "--templates", folder)
