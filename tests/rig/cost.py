"""What remediated instances cost in a month: the tables of docs/operations/cost.md, from counts and list prices.

    cost.py            prints the tables
    cost.py --write    writes them into the page
    cost.py --check    prints, as JSON, whether the page has them

Counts for 1,000 instances are read from docs/operations/performance.md, where a test counts them; alarms, dashboards, filters and queues from
stacksets/hub.yaml. Needs nothing but Python.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/operations/cost.md"
SIZES = (100, 1_000, 10_000)
BEGIN, END = "<!-- cost.py writes from here -->", "<!-- to here -->"
DAYS, MINUTES = 30, 30 * 24 * 60

# List prices in US dollars for us-east-1, and where they were read.
PRICES = {
    "DynamoDB write units, million": (0.625, "https://airbyte.com/data-engineering-resources/dynamodb-pricing", "July 2025"),
    "DynamoDB read units, million": (0.125, "https://airbyte.com/data-engineering-resources/dynamodb-pricing", "July 2025"),
    "DynamoDB storage, GB": (0.25, "https://aws.amazon.com/dynamodb/pricing/", "undated"),
    "Lambda requests, million": (0.20, "https://docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/lambda.html", "undated"),
    "Lambda GB-seconds, million": (16.67, "https://docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/lambda.html", "undated"),
    "SQS standard requests, million": (0.40, "https://cloudburn.io/blog/amazon-sqs-pricing", "March 2026"),
    "SQS FIFO requests, million": (0.50, "https://cloudburn.io/blog/amazon-sqs-pricing", "March 2026"),
    "EventBridge events to another account, million": (1.00, "https://cloudburn.io/blog/amazon-eventbridge-pricing", "March 2026"),
    "EventBridge Scheduler invocations, million": (1.00, "https://cloudburn.io/blog/amazon-eventbridge-pricing", "March 2026"),
    "SNS mails, 100,000": (2.00, "https://www.factualminds.com/blog/amazon-sns-pricing-publishes-fanout-protocols/", "June 2026"),
    "S3 Standard, GB": (0.023, "https://devnotes.tech/understanding-aws-s3-pricing-a-complete-cost-breakdown-with-examples", "undated"),
    "S3 PUT, 1,000": (0.005, "https://devnotes.tech/understanding-aws-s3-pricing-a-complete-cost-breakdown-with-examples", "undated"),
    "KMS key": (1.00, "https://aws.amazon.com/kms/pricing/", "undated"),
    "KMS requests, 10,000": (0.03, "https://www.wring.co/blog/aws-kms-pricing-guide", "undated"),
    "CloudWatch metric": (0.30, "https://signoz.io/guides/cloudwatch-pricing", "February 2026"),
    "CloudWatch alarm, for each of its metrics": (0.10, "https://c3x.dev/resources/aws/aws_cloudwatch_metric_alarm", "undated"),
    "CloudWatch dashboard": (3.00, "https://www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards/", "June 2026"),
    "CloudWatch Logs, GB taken in": (0.50, "https://www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards/", "June 2026"),
}

# What is not counted anywhere, and is assumed on the high side.
ASSUMED = {
    "seconds of an invocation for one message": 0.2,
    "seconds of a tick": 0.5,
    "GB of a function": 0.25,
    "seconds of a report": 60,
    "GB of the report": 1.0,
    "bytes of log for a message or a tick": 2_000,
    "mails for a notice": 5,
    "read units for one that ministack counts, since it counts no sizes": 2,
    "pollers of a queue": 5,
    "seconds of a poll": 20,
    "minutes that DynamoDB keeps a table's key, for each role": 5,
    # Each name of a metric and its function, as handlers/lambda counts them; hours in which nothing is counted are free.
    "metrics of the functions": 32,
    "months that a journal has been kept": 12,
}


def number(text):
    return int(text.replace(",", ""))


def counts():
    """For 1,000 instances, from the page that a test's output is written into."""
    page = (ROOT / "docs/operations/performance.md").read_text()

    def find(pattern):
        found = re.search(pattern, page)
        if found is None:
            raise SystemExit(f"docs/operations/performance.md has no `{pattern}`: say in {__file__} where the count is now")
        return number(found.group(1))

    between = re.search(r"Messages between functions: (\d+) sends, (\d+) look-ups, (\d+) of other work, (\d+) notices", page)
    sends, lookups, work, notices = map(int, between.groups())
    lines = re.search(r"\| journal line of a target, with its index \| ([\d,]+) \| ([\d,]+) \|", page)
    others = re.search(r"\| journal lines of batches, cells, chunks, campaigns \| ([\d,]+) \| ([\d,]+) \|", page)
    return {
        "calls to spokes, Config and Organizations": find(r"\| sum \| ([\d,]+) \|"),
        "write units": find(r"\| write units \| ([\d,]+) \|"),
        "read units": find(r"\| read units \| ([\d,]+) "),
        "messages": find(r"others of the ([\d,]+) messages"),
        "messages between functions": sends + lookups + work + notices,
        "messages on FIFO queues": sends + lookups,
        "notices": notices,
        "bytes of journal": number(lines.group(1)) * number(lines.group(2)) + number(others.group(1)) * number(others.group(2)),
        "queries of a tick": find(r"A tick reads (\d+) partitions"),
    }


def made():
    """What hub.yaml makes, counted by its text."""
    text = (ROOT / "stacksets/hub.yaml").read_text().split("\nResources:\n")[1].split("\nOutputs:\n")[0]
    blocks = re.split(r"\n(?=  [A-Z]\w+:\n)", text)

    def of_type(kind):
        return [block for block in blocks if f"Type: {kind}\n" in block]

    queues = {re.match(r"\s*(\w+):", block).group(1): "FifoQueue: true" in block for block in of_type("AWS::SQS::Queue")}
    read = [re.search(r"EventSourceArn: !GetAtt (\w+)\.Arn", block).group(1) for block in of_type("AWS::Lambda::EventSourceMapping")]
    return {
        "alarms": len(of_type("AWS::CloudWatch::Alarm")),
        "metrics of alarms": sum(max(1, block.count("MetricStat:")) for block in of_type("AWS::CloudWatch::Alarm")),
        "dashboards": len(of_type("AWS::CloudWatch::Dashboard")),
        "metrics of filters": len(of_type("AWS::Logs::MetricFilter")),
        "keys": len(of_type("AWS::KMS::Key")),
        "roles of functions": len(of_type("AWS::Lambda::Function")),
        "standard queues": sum(not queues[name] for name in read),
        "FIFO queues": sum(queues[name] for name in read),
    }


def price(name):
    """For one: names say for how many a price is."""
    value = PRICES[name][0]
    for word, many in (("million", 1e6), ("100,000", 1e5), ("10,000", 1e4), ("1,000", 1e3)):
        if name.endswith(word):
            return value / many
    return value


def for_instances(instances):
    """Rows that grow with the instances: what, how many, dollars."""
    share, counted, gb = instances / 1_000, counts(), 1e9
    from_events = counted["messages"] - counted["messages between functions"]
    journal = counted["bytes of journal"] * share * ASSUMED["months that a journal has been kept"]
    pages = journal / 4_096 / 2 * DAYS
    seconds = counted["messages"] * share * ASSUMED["seconds of an invocation for one message"] * ASSUMED["GB of a function"]
    messages = counted["messages"] * share
    fifo = counted["messages on FIFO queues"] * share
    # A day's pack is the whole journal: a year of packs is 365 of half a year's journal.
    packs = journal / 2 * 365
    return [
        ("DynamoDB, write units", counted["write units"] * share, "DynamoDB write units, million"),
        ("DynamoDB, read units", counted["read units"] * share * ASSUMED["read units for one that ministack counts, since it counts no sizes"], "DynamoDB read units, million"),
        ("DynamoDB, GB kept: a year's journal and its index", 2 * journal / gb, "DynamoDB storage, GB"),
        ("Lambda, invocations: one for each message", messages, "Lambda requests, million"),
        ("Lambda, GB-seconds", seconds, "Lambda GB-seconds, million"),
        ("SQS, standard: sent, received, deleted", 3 * (messages - fifo), "SQS standard requests, million"),
        ("SQS, FIFO: sent, received, deleted", 3 * fifo, "SQS FIFO requests, million"),
        ("EventBridge, events to the hub (the spokes pay)", from_events * share, "EventBridge events to another account, million"),
        ("SNS, mails", counted["notices"] * share * ASSUMED["mails for a notice"], "SNS mails, 100,000"),
        ("CloudWatch Logs, GB", messages * ASSUMED["bytes of log for a message or a tick"] / gb, "CloudWatch Logs, GB taken in"),
        ("the daily report: read units for a year's journal", pages, "DynamoDB read units, million"),
        ("the daily report: GB of a year's packs in S3", packs / gb, "S3 Standard, GB"),
    ]


def every_month():
    """Rows that are there without any instance."""
    counted, hub = counts(), made()
    polls = ASSUMED["pollers of a queue"] * MINUTES * 60 / ASSUMED["seconds of a poll"]
    ticks = MINUTES
    gb_seconds = ticks * ASSUMED["seconds of a tick"] * ASSUMED["GB of a function"] + DAYS * ASSUMED["seconds of a report"] * ASSUMED["GB of the report"]
    return [
        ("CloudWatch, metrics of the functions and of filters", ASSUMED["metrics of the functions"] + hub["metrics of filters"], "CloudWatch metric"),
        (f"CloudWatch, metrics of {hub['alarms']} alarms", hub["metrics of alarms"], "CloudWatch alarm, for each of its metrics"),
        ("CloudWatch, dashboards", hub["dashboards"], "CloudWatch dashboard"),
        ("KMS, keys", hub["keys"], "KMS key"),
        ("KMS, requests for the table's key", hub["roles of functions"] * MINUTES / ASSUMED["minutes that DynamoDB keeps a table's key, for each role"], "KMS requests, 10,000"),
        ("SQS, standard: polls of empty queues", hub["standard queues"] * polls, "SQS standard requests, million"),
        ("SQS, FIFO: polls of empty queues", hub["FIFO queues"] * polls, "SQS FIFO requests, million"),
        ("EventBridge Scheduler: ticks and reports", ticks + DAYS, "EventBridge Scheduler invocations, million"),
        ("Lambda, invocations: ticks and reports", ticks + DAYS, "Lambda requests, million"),
        ("Lambda, GB-seconds of ticks and reports", gb_seconds, "Lambda GB-seconds, million"),
        ("DynamoDB, read units of ticks", ticks * counted["queries of a tick"], "DynamoDB read units, million"),
        ("CloudWatch Logs, GB of ticks", ticks * ASSUMED["bytes of log for a message or a tick"] / 1e9, "CloudWatch Logs, GB taken in"),
        ("S3, PUT: three files a day", 3 * DAYS, "S3 PUT, 1,000"),
    ]


def quantity(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def dollars(value):
    return f"{value:,.2f}" if value >= 0.005 else "0.00" if value == 0 else "< 0.01"


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "| --- |" + " --: |" * (len(head) - 1), *("| " + " | ".join(row) + " |" for row in rows)]


def tables():
    grown = [for_instances(instances) for instances in SIZES]
    totals = [sum(many * price(name) for _, many, name in rows) for rows in grown]
    fixed_rows = every_month()
    fixed = sum(many * price(name) for _, many, name in fixed_rows)
    lines = ["## In a month", ""]
    lines += table(
        ("US dollars", *(f"{instances:,} instances" for instances in SIZES)),
        [
            ("what grows with instances", *(dollars(total) for total in totals)),
            ("what is there in any case", *(dollars(fixed) for _ in SIZES)),
            ("**sum**", *(f"**{dollars(total + fixed)}**" for total in totals)),
            ("for one instance", *(f"{(total + fixed) / instances:.4f}" for total, instances in zip(totals, SIZES))),
        ],
    )
    lines += ["", "## What grows with instances", ""]
    rows = []
    for row in zip(*grown):
        rows.append((row[0][0], quantity(row[1][1]), *(dollars(many * price(name)) for _, many, name in row)))
    lines += table(("", "for 1,000", *(f"{instances:,}: $" for instances in SIZES)), rows)
    lines += ["", "## What is there in any case", ""]
    lines += table(("", "in a month", "$"), [(what, quantity(many), dollars(many * price(name))) for what, many, name in fixed_rows])
    lines += ["", "## Prices", ""]
    lines += table(("for one, or for as many as it says", "$", "from", "of"), [(name, f"{value:g}", f"<{source}>", when) for name, (value, source, when) in PRICES.items()])
    lines += ["", "## What is assumed", ""]
    lines += table(("", ""), [(what, f"{value:,}") for what, value in ASSUMED.items()])
    return "\n".join(lines)


def main():
    arguments = sys.argv[1:]
    page = PAGE.read_text() if PAGE.exists() else f"{BEGIN}\n{END}\n"
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    wanted = f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"
    if arguments == ["--write"]:
        PAGE.write_text(wanted)
    elif arguments == ["--check"]:
        faults = [] if page == wanted else ["docs/operations/cost.md is not what counts and templates say now: `python3 tests/rig/cost.py --write`"]
        json.dump({"tables": {"looked": len(PRICES) + len(ASSUMED), "faults": faults}}, sys.stdout)
    elif not arguments:
        print(tables())
    else:
        raise SystemExit("expected nothing, --write or --check")


if __name__ == "__main__":
    main()
