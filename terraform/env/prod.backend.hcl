# Where the state of this environment is kept: names only. Created once, by hand; see docs/deployment.md.
resource_group_name  = "rg-contoso-tfstate"
storage_account_name = "stcontosotfstate"
container_name       = "sluice-prod"
key                  = "sluice.tfstate"
