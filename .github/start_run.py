"""Starts runs from files of run inputs: what `patch-canary.yml` and `patch-matrix.yml` do.

    start_run.py list     checks SCENARIOS (names with commas between them) in INPUTS_PREFIX, and prints them as a JSON list
    start_run.py start    starts SCENARIO in INPUTS_PREFIX by STATE_MACHINE_ARN, and waits WAIT_MINUTES for its end

Everything comes by the environment, so that nothing of it is ever part of a command. Python's own library and the AWS CLI are enough.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

# Step Functions' own limit.
INPUT_BYTES_MAX = 256 * 1024
NAME_CHARS_MAX = 80
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


class Refused(Exception):
    """What was asked for can't be started, and why."""


def setting(name, pattern, expected, default=None):
    value = os.environ.get(name, "") or default or ""
    if not re.fullmatch(pattern, value):
        raise Refused(f"{name}: expected {expected}, got `{value}`")
    return value


def scenario_file(prefix, scenario):
    """The file of a scenario, by its name with or without `.json`, in a folder of this repository."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", scenario):
        raise Refused(f"`{scenario}` is no scenario: expected letters, digits and any of . _ - in the name of a file")
    top = pathlib.Path.cwd().resolve()
    folder = (top / prefix).resolve()
    if not prefix or folder != top and top not in folder.parents:
        raise Refused(f"`{prefix}` is no folder of this repository")
    path = folder / (scenario if scenario.endswith(".json") else f"{scenario}.json")
    if not path.is_file() or top not in path.resolve().parents:
        there = ", ".join(sorted(file.stem for file in folder.glob("*.json"))) or "none"
        raise Refused(f"`{scenario}` is not in `{prefix}`: expected one of {there}")
    text = path.read_bytes()
    if len(text) > INPUT_BYTES_MAX:
        raise Refused(f"{path.name} has {len(text)} bytes, and an execution takes {INPUT_BYTES_MAX}")
    try:
        is_object = isinstance(json.loads(text), dict)
    except ValueError as error:
        raise Refused(f"{path.name} is no JSON: {error}") from error
    if not is_object:
        raise Refused(f"{path.name} is no JSON object")
    return path


def scenarios():
    prefix = os.environ.get("INPUTS_PREFIX", "")
    names = [name.strip() for name in os.environ.get("SCENARIOS", "").split(",")]
    names = [name for name in names if name]
    if not names:
        raise Refused("SCENARIOS: expected names with commas between them")
    if len(set(names)) != len(names):
        raise Refused("SCENARIOS: a scenario is there twice")
    for name in names:
        scenario_file(prefix, name)
    return names


def execution_name(scenario):
    """One name for each try of each job: Step Functions refuses a name that is taken, so that nothing is started twice."""
    run = setting("GITHUB_RUN_ID", r"[0-9]+", "a number")
    attempt = setting("GITHUB_RUN_ATTEMPT", r"[0-9]+", "a number", "1")
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", scenario.removesuffix(".json"))
    return f"ec2patch-{run}-{attempt}-{stem}"[:NAME_CHARS_MAX]


def aws(*arguments):
    answer = subprocess.run(["aws", "stepfunctions", *arguments, "--output", "json"], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise Refused(answer.stderr.strip() or f"aws stepfunctions {arguments[0]} ended with {answer.returncode}")
    return json.loads(answer.stdout)


def summarize(line):
    print(line)
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if place:
        with open(place, "a", encoding="utf-8") as summary:
            summary.write(line + "\n\n")


def start():
    machine = setting("STATE_MACHINE_ARN", r"arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[A-Za-z0-9_-]{1,80}", "the ARN of a state machine")
    minutes = int(setting("WAIT_MINUTES", r"[0-9]{1,3}", "minutes, up to 999", "0"))
    scenario = os.environ.get("SCENARIO", "")
    path = scenario_file(os.environ.get("INPUTS_PREFIX", ""), scenario)
    execution = aws("start-execution", "--state-machine-arn", machine, "--name", execution_name(scenario), "--input", f"file://{path}")["executionArn"]
    summarize(f"`{scenario}` is started as `{execution}`.")
    until = time.monotonic() + minutes * 60
    while time.monotonic() < until:
        status = aws("describe-execution", "--execution-arn", execution)["status"]
        if status in ENDED:
            summarize(f"`{scenario}` ended with {status}.")
            return 0 if status == "SUCCEEDED" else 1
        time.sleep(float(os.environ.get("POLL_SECONDS", "30")))
    if minutes:
        summarize(f"`{scenario}` has not ended after {minutes} minutes. It goes on: `aws stepfunctions stop-execution` stops it.")
        return 1
    return 0


def main():
    try:
        match sys.argv[1:]:
            case ["list"]:
                print(json.dumps(scenarios()))
                return 0
            case ["start"]:
                return start()
            case _:
                raise Refused("expected `list` or `start`")
    except Refused as why:
        print(f"::error::{why}" if os.environ.get("GITHUB_ACTIONS") else why, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
