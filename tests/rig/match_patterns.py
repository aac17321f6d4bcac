"""Asks a third party which samples the patterns of the templates match: ministack's TestEventPattern.

    match_patterns.py --endpoint URL

prints, for each pattern, the samples that it matches, as JSON. Patterns are read from the templates; hub and spokes have the same.
"""

import argparse
import json
import sys

from clients import Account
from templates import ROOT, Template

HUB = "123456789012"


def samples():
    """Events, one to a file; batches and broken lines are no business of EventBridge's."""
    for path in sorted((ROOT / "events/samples").glob("*.json")):
        event = json.loads(path.read_text())
        if isinstance(event, dict) and "detail-type" in event:
            # TestEventPattern asks for a whole envelope.
            yield path.stem, json.dumps({"version": "0", "id": "1", "account": HUB, "time": "2026-11-22T00:00:00Z", "region": "us-east-1", "resources": []} | event)


def main():
    parser = argparse.ArgumentParser(description="says which samples the templates' patterns match")
    parser.add_argument("--endpoint", required=True)
    args = parser.parse_args()
    events = Account(args.endpoint, HUB).events
    rules = {}
    for name in ("hub", "spoke"):
        for rule in Template(name).of_type("AWS::Events::Rule").values():
            rules.setdefault(rule["Properties"]["Name"].removeprefix("ec2patch-"), set()).add(json.dumps(rule["Properties"]["EventPattern"], sort_keys=True))
    matched = {}
    for stem, patterns in rules.items():
        (pattern,) = patterns
        matched[stem] = [sample for sample, event in samples() if events.test_event_pattern(EventPattern=pattern, Event=event)["Result"]]
    json.dump({"samples": sum(1 for _ in samples()), "matched": matched}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
