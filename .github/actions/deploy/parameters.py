"""Values for all templates of one environment: its file in `stacksets/parameters`, and over it what this deployment knows better.

From the environment: ENVIRONMENT, REGION, ARTIFACT_BUCKET, ARTIFACT_PREFIX, EXTERNAL_ID. Examples that nobody has replaced are refused.
"""

import json
import os
import pathlib
import re
import sys

EXAMPLE = re.compile(r"\b(example|choose-one|o-exampleorgid|ou-exam)|\b(111122223333|444455556666|777788889999)\b")


def main():
    known = {name: os.environ.get(name, "").strip() for name in ("ENVIRONMENT", "REGION", "ARTIFACT_BUCKET", "ARTIFACT_PREFIX", "EXTERNAL_ID")}
    missing = [name for name, value in known.items() if not value]
    if missing:
        sys.exit(f"not set: {', '.join(missing)}")
    if known["ENVIRONMENT"] not in ("dev", "stage", "prod"):
        sys.exit(f"ENVIRONMENT: expected dev, stage or prod, got `{known['ENVIRONMENT']}`")
    folder = pathlib.Path(__file__).resolve().parents[3] / "stacksets/parameters"
    values = json.loads((folder / f"{known['ENVIRONMENT']}.json").read_text())["Parameters"]
    domain = "amazonaws.com.cn" if known["REGION"].startswith("cn-") else "amazonaws.com"
    values |= {
        "ArtifactBucket": known["ARTIFACT_BUCKET"],
        "ArtifactKey": f"{known['ARTIFACT_PREFIX']}/lambda.zip",
        "SpokeTemplateUrl": f"https://{known['ARTIFACT_BUCKET']}.s3.{known['REGION']}.{domain}/{known['ARTIFACT_PREFIX']}/spoke.yaml",
        "HubRegion": known["REGION"],
        "CrossAccountExternalId": known["EXTERNAL_ID"],
        "ExternalId": known["EXTERNAL_ID"],
    }
    left = sorted(name for name, value in values.items() if EXAMPLE.search(value))
    if left:
        sys.exit(f"stacksets/parameters/{known['ENVIRONMENT']}.json still has examples: {', '.join(left)}")
    json.dump({"Parameters": values}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
