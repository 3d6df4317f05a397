"""dind-uploader and a second S3 server, Swift's s3api: what of store_s3.py does not depend on the server."""
import os
import sys

if not os.environ.get("DIND_SWIFT"):
    print("1..0 # SKIP only on request, for Swift takes 60 packages and its time: tests/lib/deps swift; DIND_SWIFT=1 tests/run e2e/store_s3_swift")
    sys.exit(0)

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import store_s3
from swift import Swift
from tap import main

CASES = (
    "a PUT that is reset",
    "a PUT whose byte is flipped",
    "the lost answer to a PUT",
    "wrong secret",
    "no such bucket",
)

sys.argv[1:] = sys.argv[1:] or CASES
store_s3.here["server"] = Swift
main(store_s3.setup)
