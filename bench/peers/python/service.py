"""The ack path as a team would write it by hand: FastAPI and Microsoft's SDK.

Verifies the vendor's signature, wraps the request in an envelope, publishes it, and answers once the broker has it.

SENDERS (1)  1: one sender behind a lock; more: a pool, each used by one request at a time.
             The SDK's senders must not be shared without either: see its README, "Thread safety".
"""

import asyncio
import base64
import hmac
import json
import os
import time
import uuid
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from urllib.parse import parse_qsl

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from fastapi import FastAPI, Request, Response

TOKEN = os.environ["TWILIO_AUTH_TOKEN"].encode()
PUBLIC_URL = os.environ["PUBLIC_URL"]
SENDERS = int(os.environ.get("SENDERS", "1"))
CHANNELS = {"sms": "sms", "whatsapp": "sms", "voice": "voice"}


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with ServiceBusClient.from_connection_string(os.environ["SERVICE_BUS_CONNECTION"]) as client:
        # A queue of one is a lock.
        app.state.senders = asyncio.Queue()
        for _ in range(SENDERS):
            app.state.senders.put_nowait(client.get_topic_sender(os.environ["CALLBACKS_TOPIC"]))
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)


def genuine(url: str, parameters: dict[str, str], signature: str) -> bool:
    """https://www.twilio.com/docs/usage/security"""
    signed = url + "".join(name + parameters[name] for name in sorted(parameters))
    digest = base64.b64encode(hmac.digest(TOKEN, signed.encode(), "sha1")).decode()
    return hmac.compare_digest(digest, signature)


def uuid7() -> uuid.UUID:
    value = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10))
    return uuid.UUID(int=value & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62)


@app.post("/incoming/twilio/{service}/{request_type}")
async def callback(service: str, request_type: str, request: Request) -> Response:
    channel = CHANNELS.get(service)
    if channel is None:
        return Response("unknown service type", 404)
    body = (await request.body()).decode()
    parameters = dict(parse_qsl(body, keep_blank_values=True))
    query = f"?{request.url.query}" if request.url.query else ""
    signature = request.headers.get("x-twilio-signature", "")
    if not genuine(f"{PUBLIC_URL}{request.url.path}{query}", parameters, signature):
        return Response("the signature does not verify", 401)

    subject = parameters.get("MessageSid") or parameters.get("CallSid", "")
    status = parameters.get("MessageStatus") or parameters.get("CallStatus", "")
    dedupe_key = f"twilio:{subject}:{status}"
    envelope = {
        "specversion": "1.0",
        "id": str(uuid7()),
        "type": "sluice.callback.received.v1",
        "source": f"/incoming/twilio/{service}/{request_type}",
        "subject": subject,
        "time": datetime.now(timezone.utc).isoformat(),
        "datacontenttype": request.headers.get("content-type"),
        "vendor": "twilio",
        "servicetype": service,
        "requesttype": request_type,
        "dedupekey": dedupe_key,
        "dataclassification": "personal",
        "data": body,
    }
    message = ServiceBusMessage(
        json.dumps(envelope),
        message_id=dedupe_key,
        correlation_id=envelope["id"],
        content_type="application/cloudevents+json",
        application_properties={"vendor": "twilio", "channel": channel, "type": envelope["type"]},
    )
    sender = await app.state.senders.get()
    try:
        await sender.send_messages(message)
    finally:
        app.state.senders.put_nowait(sender)
    return Response(status_code=204)
