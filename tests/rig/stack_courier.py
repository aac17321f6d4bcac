"""Carries the simulated organization's events as the deployed stacks say: a spoke's rules to the hub's bus, that bus's rules to a queue.

Rules, targets, roles and queue policies are read from the accounts that the stacks were deployed into, and the emulator's own
TestEventPattern says what matches. The bus's policy alone is read from the template, since the emulator does not take it. What any of
them does not let through is kept out, and counted.
"""

import json

from clients import Account
from courier import Courier
from deploy_templates import REGION, let_in
from templates import listed


def allows(document, action, resource):
    """Whether a statement of a policy allows this by name: no wildcards, no conditions, no denials are known here."""
    for statement in document["Statement"]:
        if statement["Effect"] == "Allow" and action in listed(statement["Action"]) and resource in listed(statement.get("Resource", [])):
            return True
    return False


class StackCourier(Courier):
    """`members` are the organization's accounts, as AWS knows them; `statement` is the bus policy's."""

    def __init__(self, hub, world, organization, members, statement):
        self.organization, self.members, self.statement = organization, members, statement
        self.bus, self.spokes, self.forwarding = hub.arn("events", "event-bus/ec2patch-hub"), {}, {}
        self.kept_out = []
        super().__init__(hub, world)

    def _deployed(self):
        """The rules of the hub's bus: patterns with the URLs of the queues that they lead to."""
        for rule in self.hub.events.list_rules(EventBusName="ec2patch-hub")["Rules"]:
            for target in self.hub.events.list_targets_by_rule(Rule=rule["Name"], EventBusName="ec2patch-hub")["Targets"]:
                url = self.hub.sqs.get_queue_url(QueueName=target["Arn"].split(":")[5])["QueueUrl"]
                said = self.hub.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
                taken = any(
                    statement["Effect"] == "Allow"
                    and statement["Principal"] == {"Service": "events.amazonaws.com"}
                    and rule["Arn"] in listed(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
                    for statement in json.loads(said)["Statement"]
                )
                if not taken:
                    raise SystemExit(f"{target['Arn']} takes nothing from {rule['Arn']}: {said}")
                yield rule["EventPattern"], url

    def _forwards(self, account, region):
        """The rules of a spoke, each with its targets; empty where no stack is."""
        place = (account, region)
        if place not in self.forwarding:
            spoke = self.spokes[place] = Account(self.hub.endpoint, account, region)
            rules = spoke.events.list_rules()["Rules"]
            self.forwarding[place] = [(rule["EventPattern"], spoke.events.list_targets_by_rule(Rule=rule["Name"])["Targets"]) for rule in rules]
        return self.spokes[place], self.forwarding[place]

    def _may_put(self, spoke, target):
        """Whether the role of a spoke's rule may put events onto the hub's bus, and EventBridge may take that role."""
        name = target["RoleArn"].split("/")[-1]
        trust = spoke.iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        is_events = any(statement["Principal"] == {"Service": "events.amazonaws.com"} for statement in trust["Statement"])
        names = spoke.iam.list_role_policies(RoleName=name)["PolicyNames"]
        documents = [spoke.iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in names]
        return is_events and any(allows(document, "events:PutEvents", target["Arn"]) for document in documents)

    def deliver(self, event):
        account, body = event["account"], json.dumps(event)
        spoke, rules = self._forwards(account, event["region"])
        matching = [targets for pattern, targets in rules if spoke.events.test_event_pattern(EventPattern=pattern, Event=body)["Result"]]
        sent = 0
        for target in (target for targets in matching for target in targets):
            organization = self.organization if account in self.members else None
            if target["Arn"] != self.bus or not self._may_put(spoke, target) or not let_in(self.statement, organization, event):
                self.kept_out.append(f"{event['detail-type']} of {account}")
                continue
            sent += super().deliver(event)
        self.unmatched += not matching
        return sent

    def report(self):
        return super().report() | {"kept_out": self.kept_out, "region": REGION}
