"""A function's `bootstrap` that makes the calls that it is asked to make, with the role that it runs under, and says what came back.

deploy_templates.py puts it into the zip in place of the real one: the roles are what is proven here, not the code. An invocation
is `{"calls": [{"service", "operation", "parameters", "as"}]}`, where `as` are the parameters of an AssumeRole before it.
"""

import json
import os
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

RUNTIME = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"
CONFIG = Config(retries={"total_max_attempts": 1})


def client(service, credentials=None):
    given = {}
    if credentials:
        given = {"aws_access_key_id": credentials["AccessKeyId"], "aws_secret_access_key": credentials["SecretAccessKey"], "aws_session_token": credentials["SessionToken"]}
    return boto3.client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=CONFIG, region_name=os.environ.get("AWS_REGION", "us-east-1"), **given)


def make(call):
    try:
        credentials = client("sts").assume_role(**call["as"])["Credentials"] if "as" in call else None
        getattr(client(call["service"], credentials), call["operation"])(**call["parameters"])
        return "done"
    except ClientError as error:
        return error.response["Error"]["Code"]


def main():
    while True:
        with urllib.request.urlopen(f"{RUNTIME}/invocation/next", timeout=None) as answer:
            request, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
        said = json.dumps([make(call) for call in event.get("calls", [])]).encode()
        urllib.request.urlopen(urllib.request.Request(f"{RUNTIME}/invocation/{request}/response", data=said, method="POST"), timeout=60).close()


if __name__ == "__main__":
    main()
