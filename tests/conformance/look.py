#!/usr/bin/env python3
"""Looks into a bucket and a metadata table with boto3, independently of Sluice's own code; exits 1 when the bucket has
no segment that ends in the trailer, or the table no head."""

import argparse
import sys

import boto3

HEAD_KEYS = ("b", "t", "incarnation", "format")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--table", required=True)
    asked = parser.parse_args()
    problems = 0

    session = boto3.Session(region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=asked.endpoint)
    objects = [o for page in s3.get_paginator("list_objects_v2").paginate(Bucket=asked.bucket) for o in page.get("Contents", [])]
    print(f"bucket {asked.bucket}: {len(objects)} objects")
    for found in objects[:10]:
        body = s3.get_object(Bucket=asked.bucket, Key=found["Key"])["Body"].read()
        print(f"  {found['Key']}  {found['Size']} bytes, ends in {body[-8:]!r}")
    if not objects:
        problems += 1

    table = session.resource("dynamodb", endpoint_url=asked.endpoint).Table(asked.table)
    items = table.scan()["Items"]
    print(f"table {asked.table}: {len(items)} items")
    heads = [item for item in items if all(name in item for name in HEAD_KEYS)]
    for head in heads:
        print(f"  head ({head['pk']}, {head['sk']}): b = {head['b']}, {len(head['t'])} elements, format {head['format']}")
    if len(heads) != 1:
        problems += 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
