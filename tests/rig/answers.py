"""What a server of the rig answers to three calls, as JSON: who the caller is, which tables there are, and what time it is there.

    answers.py ENDPOINT ACCESS_KEY SECRET
"""

import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, access_key, secret = sys.argv[1:4]
# A refusal is the answer here: nothing is tried again.
once = Config(retries={"total_max_attempts": 1})


def client(service):
    return boto3.client(
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=access_key, aws_secret_access_key=secret, config=once
    )


def answer(call):
    try:
        return call()
    except ClientError as error:
        return {"refused": error.response["Error"]["Code"]}


dynamodb = client("dynamodb")
created = answer(
    lambda: dynamodb.create_table(
        TableName=f"answers-{time.time_ns()}",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]["CreationDateTime"].timestamp()
)
report = {
    "account": answer(lambda: client("sts").get_caller_identity()["Account"]),
    "tables": answer(lambda: len(dynamodb.list_tables()["TableNames"])),
    "created": created,
    "time": time.time(),
}
json.dump(report, sys.stdout)
