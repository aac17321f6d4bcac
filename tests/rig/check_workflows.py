"""Everything about `.github` that can be said without GitHub: its schema, zizmor's audits, our own rules, and what its scripts do.

    check_workflows.py [--github FOLDER] [CHECK ...]

prints, for each check, how much it looked at and what is wrong, as JSON.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

import checks
from templates import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = {"ci.yml", "deploy.yml", "patch-canary.yml", "patch-matrix.yml", "security-scan.yml"}
# zizmor's advice that is not taken, and why.
ZIZMOR_IGNORED = {
    # `$/` for files of the same repository is newer than most GitHub Enterprise servers.
    "self-repository",
}
# What the original documents' users fill in, with their defaults.
INPUTS = {
    "patch-canary.yml": {"scenario": "canary-small", "inputs_prefix": "examples/run-inputs/", "state_machine_arn": None, "aws_region": "us-east-1", "role_to_assume": None},
    "patch-matrix.yml": {"scenarios": "canary-small", "inputs_prefix": "examples/run-inputs/", "state_machine_arn": None, "aws_region": "us-east-1", "role_to_assume": None},
}
# A key that lives longer than its job.
LONG_LIVED = re.compile(r"aws-access-key-id|aws-secret-access-key|AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY")


def files():
    return sorted([*GITHUB.glob("workflows/*.yml"), *GITHUB.glob("actions/*/action.yml")])


def name_of(path):
    return str(path.relative_to(GITHUB))


def load(path):
    read = yaml.safe_load(path.read_text())
    # YAML 1.1 reads the key `on` as a truth value.
    return {("on" if key is True else key): value for key, value in read.items()}


def steps_of(read):
    if "runs" in read:
        return [(None, step) for step in read["runs"]["steps"]]
    return [(job, step) for job in read["jobs"].values() for step in job.get("steps", [])]


def check_schema():
    """GitHub's schema, as check-jsonschema brings it along."""
    faults = []
    for path in files():
        schema = "vendor.github-workflows" if path.parent.name == "workflows" else "vendor.github-actions"
        answer = subprocess.run([sys.executable, "-m", "check_jsonschema", "--output-format", "json", "--builtin-schema", schema, path], capture_output=True, text=True, check=False)
        said = json.loads(answer.stdout)
        faults += [f"{name_of(path)}: {error['path']}: {error['message']}" for error in said.get("errors", [])]
        faults += [f"{name_of(path)}: {error}" for error in said.get("parse_errors", [])]
    found = {path.name for path in files() if path.parent.name == "workflows"}
    faults += [f"workflows/{name} is missing" for name in sorted(WORKFLOWS - found)]
    return len(files()), faults


def check_zizmor():
    """zizmor's audits that need no network."""
    zizmor = pathlib.Path(sys.executable).parent / "zizmor"
    answer = subprocess.run([zizmor, "--offline", "--no-progress", "--no-exit-codes", "--format", "json", *files()], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        return 0, [f"zizmor: {answer.stderr.strip()}"]
    findings = [finding for finding in json.loads(answer.stdout) if finding["ident"] not in ZIZMOR_IGNORED]
    return len(files()), [f"{finding['ident']}: {finding['desc']} ({place(finding)})" for finding in findings]


def place(finding):
    location = finding["locations"][0]
    file = re.search(r"([\w-]+\.yml)", json.dumps(location["symbolic"]["key"]))
    return f"{file.group(1) if file else finding['url']}:{location['concrete']['location']['start_point']['row'] + 1}"


def check_rules():
    """Least permissions, actions by their commit, roles by OIDC, and nothing of anybody's input in a command."""
    faults, looked = [], 0
    for path in files():
        text, read, name = path.read_text(), load(path), name_of(path)
        if LONG_LIVED.search(text):
            faults.append(f"{name}: a key that outlives its job")
        for used in re.findall(r"uses: (.*)", text):
            looked += 1
            if not used.startswith("./") and not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used):
                faults.append(f"{name}: `{used}` is no action by its commit, with its version beside it")
        for _, step in steps_of(read):
            if "${{" in step.get("run", ""):
                faults.append(f"{name}: an expression in the command `{step.get('name')}`: give it by env")
            if "checkout@" in step.get("uses", "") and step.get("with", {}).get("persist-credentials") is not False:
                faults.append(f"{name}: a checkout that leaves its token behind")
        if "jobs" not in read:
            continue
        if read.get("permissions") != {}:
            faults.append(f"{name}: jobs that do not say what they may, may more than nothing")
        for job_name, job in read["jobs"].items():
            permissions = job.get("permissions")
            if permissions is None:
                faults.append(f"{name}: {job_name} does not say what it may")
                continue
            uses = [step.get("uses", "") for step in job.get("steps", [])] + [job.get("uses", "")]
            needs_aws = any(use.startswith(("aws-actions/configure-aws-credentials@", "./.github/actions/deploy", "./.github/workflows/patch-canary")) for use in uses)
            wanted = {"contents": "read"} | ({"id-token": "write"} if needs_aws else {})
            if permissions != wanted:
                faults.append(f"{name}: {job_name} may {permissions}, and needs {wanted}")
            if "uses" not in job and "timeout-minutes" not in job:
                faults.append(f"{name}: {job_name} may run for six hours")
            if any(use.startswith("./.github/actions/deploy") for use in uses) and job.get("environment") not in ("dev", "stage", "prod"):
                faults.append(f"{name}: {job_name} deploys without an environment")
    return looked, faults


def check_inputs():
    """patch-canary and patch-matrix ask for what they always asked for; whoever calls patch-canary gives it everything."""
    faults, looked = [], 0
    for name, wanted in INPUTS.items():
        inputs = load(GITHUB / "workflows" / name)["on"]["workflow_dispatch"]["inputs"]
        looked += len(inputs)
        for key, default in wanted.items():
            about = inputs.get(key)
            if about is None or about.get("default") != default or (default is None and about.get("required") is not True):
                faults.append(f"{name}: the input `{key}` is {about}")
            if about is not None and about.get("type") == "choice":
                faults.append(f"{name}: `{key}` takes no names of one's own")
    canary = load(GITHUB / "workflows/patch-canary.yml")["on"]
    if canary["workflow_call"]["inputs"].keys() != canary["workflow_dispatch"]["inputs"].keys():
        faults.append("patch-canary.yml: takes other inputs from a workflow than from a person")
    (called,) = [job["with"] for job in load(GITHUB / "workflows/patch-matrix.yml")["jobs"].values() if "with" in job]
    if called.keys() != canary["workflow_call"]["inputs"].keys():
        faults.append(f"patch-matrix.yml: gives patch-canary.yml {sorted(called)}")
    return looked, faults


AWS = """#!/bin/sh
printf '%s\\n' "$*" >> "$AWS_CALLS"
case "$2" in
  start-execution) echo '{"executionArn": "arn:aws:states:us-east-1:111122223333:execution:ec2patch-orchestrator:one"}' ;;
  describe-execution) echo "{\\"status\\": \\"$AWS_STATUS\\"}" ;;
esac
"""


def check_starts():
    """start_run.py in a repository of its own, with an `aws` that writes down what it is asked: names of any kind start, and nothing else does."""
    faults, looked = [], 0
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder) / "repository"
        shutil.copytree(ROOT / "examples", top / "examples")
        (top / "windows").mkdir()
        (top / "windows/Tuesday_2.week-one.json").write_text('{"waves": []}')
        (top / "windows/list.json").write_text("[]")
        (top / "windows/broken.json").write_text("{")
        (top / "windows/large.json").write_text(json.dumps({"comment": "x" * 256 * 1024}))
        (pathlib.Path(folder) / "outside.json").write_text("{}")
        (top / "windows/link.json").symlink_to(pathlib.Path(folder) / "outside.json")
        tools, calls = pathlib.Path(folder) / "tools", pathlib.Path(folder) / "calls"
        tools.mkdir()
        (tools / "aws").write_text(AWS)
        (tools / "aws").chmod(0o755)

        def run(verb, **settings):
            calls.write_text("")
            known = {
                "PATH": f"{tools}:{os.environ.get('PATH', '')}",
                "AWS_CALLS": str(calls),
                "AWS_STATUS": "SUCCEEDED",
                "GITHUB_RUN_ID": "42",
                "GITHUB_RUN_ATTEMPT": "1",
                "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:111122223333:stateMachine:ec2patch-orchestrator",
                "INPUTS_PREFIX": "examples/run-inputs/",
            }
            answer = subprocess.run([sys.executable, "-B", GITHUB / "start_run.py", verb], cwd=top, env=known | settings, capture_output=True, text=True, check=False)
            return answer.returncode, answer.stdout, calls.read_text().splitlines()

        started = [
            ("examples/run-inputs/", "canary-small", "ec2patch-42-1-canary-small"),
            ("examples/run-inputs", "canary-small.json", "ec2patch-42-1-canary-small"),
            ("examples/custom-inputs/", "wave-main-multi", "ec2patch-42-1-wave-main-multi"),
            ("windows/", "Tuesday_2.week-one", "ec2patch-42-1-Tuesday_2-week-one"),
        ]
        for prefix, scenario, execution in started:
            looked += 1
            ended, _, asked = run("start", INPUTS_PREFIX=prefix, SCENARIO=scenario)
            path = (top / prefix / scenario.removesuffix(".json")).resolve()
            if ended != 0 or len(asked) != 1 or f"--name {execution} --input file://{path}.json" not in asked[0]:
                faults.append(f"start_run.py: `{scenario}` in `{prefix}` ended with {ended} and asked {asked}")
        refused = [
            {"SCENARIO": "nobody"},
            {"SCENARIO": ""},
            {"SCENARIO": "../custom-inputs/wave-main-multi"},
            {"SCENARIO": "a;id"},
            {"SCENARIO": "--cli-input-json"},
            {"SCENARIO": "outside", "INPUTS_PREFIX": "../"},
            {"SCENARIO": "outside", "INPUTS_PREFIX": folder},
            {"SCENARIO": "link", "INPUTS_PREFIX": "windows/"},
            {"SCENARIO": "list", "INPUTS_PREFIX": "windows/"},
            {"SCENARIO": "broken", "INPUTS_PREFIX": "windows/"},
            {"SCENARIO": "large", "INPUTS_PREFIX": "windows/"},
            {"SCENARIO": "canary-small", "INPUTS_PREFIX": ""},
            {"SCENARIO": "canary-small", "STATE_MACHINE_ARN": "ec2patch-orchestrator"},
            {"SCENARIO": "canary-small", "WAIT_MINUTES": "soon"},
        ]
        for settings in refused:
            looked += 1
            ended, _, asked = run("start", **settings)
            if ended != 2 or asked:
                faults.append(f"start_run.py: {settings} ended with {ended} and asked {asked}")
        for status, wanted in (("SUCCEEDED", 0), ("FAILED", 1), ("TIMED_OUT", 1), ("ABORTED", 1)):
            looked += 1
            ended, _, asked = run("start", SCENARIO="canary-small", WAIT_MINUTES="1", AWS_STATUS=status)
            if ended != wanted or len(asked) != 2:
                faults.append(f"start_run.py: {status} ended with {ended} and asked {asked}")
        for names, wanted in (
            ("wave-canary-east, wave-main-multi", ["wave-canary-east", "wave-main-multi"]),
            ("wave-canary-east,nobody", None),
            ("wave-canary-east,wave-canary-east", None),
            (" , ", None),
        ):
            looked += 1
            ended, said, _ = run("list", SCENARIOS=names, INPUTS_PREFIX="examples/custom-inputs/")
            if (json.loads(said) if ended == 0 else None) != wanted:
                faults.append(f"start_run.py: `{names}` are {said or ended}")
    return looked, faults


def check_parameters():
    """What deploy.yml gives the templates: an environment's file, with examples refused and the deployment's own values over it."""
    faults, looked = [], 0
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        script = top / ".github/actions/deploy/parameters.py"
        script.parent.mkdir(parents=True)
        shutil.copy(GITHUB / "actions/deploy/parameters.py", script)
        shutil.copytree(ROOT / "stacksets/parameters", top / "stacksets/parameters")
        known = {"REGION": "eu-central-1", "ARTIFACT_BUCKET": "bucket", "ARTIFACT_PREFIX": "ec2patch/0a1b2c3", "EXTERNAL_ID": "8f1e7c"}

        def run(**settings):
            return subprocess.run([sys.executable, "-B", script], env=known | settings, capture_output=True, text=True, check=False)

        for environment in ("dev", "stage", "prod"):
            looked += 1
            if run(ENVIRONMENT=environment).returncode == 0:
                faults.append(f"parameters.py: {environment}'s examples are deployed")
            path = top / f"stacksets/parameters/{environment}.json"
            values = json.loads(path.read_text())["Parameters"]
            theirs = {"OrganizationId": "o-a1b2c3d4e5", "HubAccountId": "123456789012", "CanaryOrganizationalUnitIds": "ou-a1b2-11111111", "OrganizationalUnitIds": "ou-a1b2-22222222", "NotificationEmail": "ops@company.com"}
            path.write_text(json.dumps({"Parameters": values | theirs}))
            answer = run(ENVIRONMENT=environment)
            made = json.loads(answer.stdout)["Parameters"] if answer.returncode == 0 else {}
            if made.keys() != values.keys() or made["ExternalId"] != "8f1e7c" or made["CrossAccountExternalId"] != "8f1e7c" or made["SpokeTemplateUrl"] != "https://bucket.s3.eu-central-1.amazonaws.com/ec2patch/0a1b2c3/spoke.yaml":
                faults.append(f"parameters.py: {environment} is {made or answer.stderr}")
        for settings in ({"ENVIRONMENT": "test"}, {"ENVIRONMENT": "dev", "EXTERNAL_ID": ""}, {"ENVIRONMENT": "dev", "EXTERNAL_ID": "choose-one"}):
            looked += 1
            if run(**settings).returncode == 0:
                faults.append(f"parameters.py: takes {settings}")
    return looked, faults


CHECKS = {
    "schema": check_schema,
    "zizmor": check_zizmor,
    "rules": check_rules,
    "inputs": check_inputs,
    "starts": check_starts,
    "parameters": check_parameters,
}


def folder(other=None):
    """Where the workflows are read from; `other` from now on, where it is given."""
    global GITHUB
    GITHUB = other.resolve() if other else GITHUB


if __name__ == "__main__":
    checks.main(CHECKS, ".github", "--github", folder)
