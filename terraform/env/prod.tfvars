# 75 million callbacks a month, 2,000 a second at the peak. docs/sizing.md tells how these follow from that.
workload       = "contoso"
environment    = "prod"
location       = "westeurope"
location_short = "weu"

public_url = "https://hooks.contoso.com"

service_bus = { sku = "Premium", capacity = 1, partitions = 1 }
cosmos      = { serverless = false, max_throughput = 20000, zone_redundant = true }
network     = { address_space = "10.20.0.0/22" }

functions = {
  ingest   = { max_instances = 100, always_ready = { http = 2 } }
  sms      = { always_ready = { "function:process-sms" = 1 } }
  email    = { always_ready = { "function:process-email" = 1 } }
  delivery = { memory_mb = 2048, always_ready = { "function:deliver" = 1 } }
}

vendor_secrets     = ["TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_SECONDARY", "SENDGRID_PUBLIC_KEY"]
log_retention_days = 90
log_daily_quota_gb = 10
alert_emails       = ["oncall@example.com"]
