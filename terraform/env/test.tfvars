# Sized for load tests of up to some 250 callbacks a second, which is where Standard ends.
workload       = "contoso"
environment    = "test"
location       = "westeurope"
location_short = "weu"

service_bus         = { sku = "Standard" }
cosmos              = { serverless = false, max_throughput = 10000 }
storage_replication = "LRS"

functions = {
  ingest = { always_ready = { http = 1 } }
}

vendor_secrets = ["TWILIO_AUTH_TOKEN", "SENDGRID_PUBLIC_KEY"]
