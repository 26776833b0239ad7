// The ack path as a team would write it by hand: fastify and Microsoft's SDK.
//
// Verifies the vendor's signature, wraps the request in an envelope, publishes it, and answers once the broker has it.
// One sender for all requests, which is how the SDK is meant: it puts them on one link side by side.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { parse } from "node:querystring";
import { ServiceBusClient } from "@azure/service-bus";
import Fastify from "fastify";

const { TWILIO_AUTH_TOKEN, PUBLIC_URL, SERVICE_BUS_CONNECTION, CALLBACKS_TOPIC, PORT } = process.env;
const CHANNELS = { sms: "sms", whatsapp: "sms", voice: "voice" };

const sender = new ServiceBusClient(SERVICE_BUS_CONNECTION).createSender(CALLBACKS_TOPIC);
const app = Fastify();
// The body as it came: the envelope carries it unchanged.
app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) =>
  done(null, body),
);

// https://www.twilio.com/docs/usage/security
function genuine(url, parameters, signature) {
  let signed = url;
  for (const name of Object.keys(parameters).sort()) signed += name + parameters[name];
  const digest = Buffer.from(createHmac("sha1", TWILIO_AUTH_TOKEN).update(signed).digest("base64"));
  const given = Buffer.from(signature);
  return digest.length === given.length && timingSafeEqual(digest, given);
}

function uuid7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

app.post("/incoming/twilio/:service/:requestType", async (request, reply) => {
  const { service, requestType } = request.params;
  const channel = CHANNELS[service];
  if (!channel) return reply.code(404).send("unknown service type");
  const parameters = parse(request.body);
  if (!genuine(PUBLIC_URL + request.url, parameters, request.headers["x-twilio-signature"] ?? "")) {
    return reply.code(401).send("the signature does not verify");
  }

  const subject = parameters.MessageSid ?? parameters.CallSid ?? "";
  const status = parameters.MessageStatus ?? parameters.CallStatus ?? "";
  const dedupeKey = `twilio:${subject}:${status}`;
  const envelope = {
    specversion: "1.0",
    id: uuid7(),
    type: "sluice.callback.received.v1",
    source: `/incoming/twilio/${service}/${requestType}`,
    subject,
    time: new Date().toISOString(),
    datacontenttype: request.headers["content-type"],
    vendor: "twilio",
    servicetype: service,
    requesttype: requestType,
    dedupekey: dedupeKey,
    dataclassification: "personal",
    data: request.body,
  };
  await sender.sendMessages({
    body: Buffer.from(JSON.stringify(envelope)),
    messageId: dedupeKey,
    correlationId: envelope.id,
    contentType: "application/cloudevents+json",
    applicationProperties: { vendor: "twilio", channel, type: envelope.type },
  });
  return reply.code(204).send();
});

await app.listen({ host: "127.0.0.1", port: Number(PORT) });
