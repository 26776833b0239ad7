"""Verifies captured requests as a partner would: HMAC with the official library, Ed25519 with PyNaCl."""

import base64
import json
import sys

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verifies(key, body, headers):
    if key.startswith("whsec_"):
        try:
            Webhook(key).verify(body, headers)
            return True
        except WebhookVerificationError:
            return False
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    verify_key = VerifyKey(base64.b64decode(key.removeprefix("whpk_")))
    for signature in headers["webhook-signature"].split(" "):
        version, text = signature.split(",", 1)
        if version == "v1a":
            try:
                verify_key.verify(signed, base64.b64decode(text))
                return True
            except BadSignatureError:
                pass
    return False


count = 0
for request in json.load(open(sys.argv[1])):
    body, headers, good = base64.b64decode(request["body"]), request["headers"], request["good"]
    assert len(good) == 4, good
    for key in good:
        assert verifies(key, body, headers), f"{key[:6]} does not verify"
        assert not verifies(key, body + b" ", headers), "another body must not verify"
        count += 1
    stranger = "whsec_" + base64.b64encode(b"x" * 32).decode()
    assert not verifies(stranger, body, headers), "a stranger's secret must not verify"
print(f"Python verified {count} signatures")
