# The smallest that works: under 60 USD a month, most of it for what is idle.
# terraform -chdir=terraform apply -var-file=env/dev.tfvars -var subscription_id=$(az account show --query id -o tsv)
workload       = "contoso"
environment    = "dev"
location       = "westeurope"
location_short = "weu"

service_bus         = { sku = "Standard" }
cosmos              = { serverless = true }
storage_replication = "LRS"
sampling_ratio      = 1
log_daily_quota_gb  = 1

vendor_secrets = ["TWILIO_AUTH_TOKEN", "SENDGRID_PUBLIC_KEY"]
