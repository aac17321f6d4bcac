"""AWS clients of the drivers: at the rig's endpoint, as a named account's root or with given credentials."""

import boto3
from botocore.config import Config

# Drivers share the machine with everything that they drive: patience, and few connections.
CONFIG = Config(retries={"total_max_attempts": 5, "mode": "standard"}, read_timeout=120, max_pool_connections=4)


class Account:
    """One account in one Region, by its id: the rig takes the id for the access key of its root user."""

    def __init__(self, endpoint, account, region="us-east-1"):
        self.endpoint, self.id, self.region = endpoint, account, region
        self._clients = {}

    def __getattr__(self, service):
        service = service.rstrip("_").replace("_", "-")
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=self.region,
                aws_access_key_id=self.id,
                aws_secret_access_key="test",
                config=CONFIG,
            )
        return self._clients[service]

    def arn(self, service, resource):
        """An ARN of this account; services without Regions have none in it."""
        region = "" if service in ("iam", "s3") else self.region
        return f"arn:aws:{service}:{region}:{self.id}:{resource}"
