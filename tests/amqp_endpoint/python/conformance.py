"""A conversation with the endpoint, by the official SDK. Fails with an assertion; prints what it did."""

import sys
import time
from datetime import datetime, timedelta, timezone

from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.exceptions import MessageLockLostError, MessagingEntityNotFoundError, ServiceBusError

connection_string, count = sys.argv[1], int(sys.argv[2])
started = time.monotonic()


def step(name):
    print(f"{time.monotonic() - started:6.2f} s  {name}", flush=True)


def message(number, **properties):
    return ServiceBusMessage(
        f'{{"number":{number}}}'.encode(),
        message_id=f"m-{number}",
        content_type="application/json",
        correlation_id=f"c-{number}",
        subject="receipt",
        session_id="one session",
        time_to_live=timedelta(hours=1),
        application_properties={
            "channel": "sms",
            "attempt": number,
            "share": number / 8,
            "urgent": number % 2 == 0,
            "text": "naïve ☎",
            **properties,
        },
    )


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def check(received, number, deliveries=0):
    assert b"".join(received.body) == f'{{"number":{number}}}'.encode(), received
    assert received.message_id == f"m-{number}"
    assert received.content_type == "application/json"
    assert received.correlation_id == f"c-{number}"
    assert received.subject == "receipt"
    assert received.session_id == "one session"
    assert received.time_to_live == timedelta(hours=1)
    assert received.delivery_count == deliveries
    properties = {text(key): text(value) for key, value in received.application_properties.items()}
    assert properties == {
        "channel": "sms",
        "attempt": number,
        "share": number / 8,
        "urgent": number % 2 == 0,
        "text": "naïve ☎",
    }, properties


def receiver(client, **options):
    return client.get_subscription_receiver("callbacks", "sms", max_wait_time=5, **options)


def receive(source, wanted):
    received = []
    while len(received) < wanted:
        batch = source.receive_messages(max_message_count=min(50, wanted - len(received)), max_wait_time=10)
        assert batch, f"only {len(received)} of {wanted} came"
        received += batch
    return received


with ServiceBusClient.from_connection_string(connection_string) as client:
    with client.get_topic_sender("callbacks") as sender:
        half = count // 2
        for number in range(half):
            sender.send_messages(message(number))
        step(f"sent {half} messages one by one")
        for first in range(half, count, 50):
            sender.send_messages([message(number) for number in range(first, min(first + 50, count))])
        step(f"sent {count - half} messages in batches")

    with receiver(client) as source:
        for number, received in enumerate(receive(source, count)):
            check(received, number)
            source.complete_message(received)
        step(f"received and completed {count} messages, all properties equal")

    with client.get_topic_sender("callbacks") as sender, receiver(client) as source:
        sender.send_messages(message(count))
        (peeked,) = source.peek_messages()
        check(peeked, count)
        (received,) = receive(source, 1)
        check(received, count)
        source.abandon_message(received)
        (received,) = receive(source, 1)
        check(received, count, deliveries=1)
        before = received.locked_until_utc
        time.sleep(0.05)
        assert source.renew_message_lock(received) > before
        token = received.lock_token
        source.dead_letter_message(received, reason="unreadable", error_description="not JSON")
        step("peeked, abandoned, received again, renewed, dead-lettered")
        try:
            source._settle_message_via_mgmt_link("completed", [token])
            raise AssertionError("settled twice")
        except MessageLockLostError:
            step("settling twice is a lost lock")

    with receiver(client, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as source:
        (received,) = receive(source, 1)
        assert received.dead_letter_reason == "unreadable", received.dead_letter_reason
        assert received.dead_letter_error_description == "not JSON"
        assert received.dead_letter_source == "callbacks/Subscriptions/sms"
        source.complete_message(received)
        step("the dead letter tells its reason")

    with client.get_topic_sender("callbacks") as sender, receiver(client) as source:
        later = datetime.now(timezone.utc) + timedelta(hours=1)
        numbers = sender.schedule_messages([message(count + 1), message(count + 2)], later)
        assert len(numbers) == 2
        peeked = source.peek_messages(max_message_count=10)
        assert [text(m.message_id) for m in peeked] == [f"m-{count + 1}", f"m-{count + 2}"]
        assert all(abs((m.scheduled_enqueue_time_utc - later).total_seconds()) < 0.01 for m in peeked)
        assert all(m.state.name == "SCHEDULED" for m in peeked)
        sender.cancel_scheduled_messages(numbers)
        try:
            sender.cancel_scheduled_messages(numbers[0])
            raise AssertionError("cancelled twice")
        except ServiceBusError as error:
            assert "message-not-found" in repr(error) or "scheduled" in str(error), repr(error)
        sender.schedule_messages(message(count + 3), datetime.now(timezone.utc) + timedelta(seconds=1))
        (received,) = receive(source, 1)
        check(received, count + 3)
        source.complete_message(received)
        step("scheduled, cancelled, received when due")

    with client.get_topic_sender("callbacks") as sender:
        sender.send_messages([message(number) for number in range(count + 4, count + 14)])
    with receiver(client, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as source:
        for number, received in enumerate(receive(source, 10), start=count + 4):
            check(received, number)
    step("received and deleted 10 messages")

    with client.get_topic_sender("callbacks") as sender:
        body = bytes(range(256)) * 900
        sender.send_messages(
            ServiceBusMessage(body, message_id="large", application_properties={"channel": "sms"})
        )
    with receiver(client) as source:
        (received,) = receive(source, 1)
        assert b"".join(received.body) == body
        source.complete_message(received)
    step(f"{len(body)} bytes in one message")

    try:
        with client.get_topic_sender("nowhere") as sender:
            sender.send_messages(message(1))
        raise AssertionError("sent to nowhere")
    except MessagingEntityNotFoundError:
        step("an unknown topic is not found")

    with client.get_topic_sender("callbacks") as sender:
        left = message(7)
        left.message_id = "left-behind"
        left.application_properties["share"] = 0.5
        left.application_properties["urgent"] = True
        sender.send_messages(left)
