terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 5.2, < 6"
    }
    azapi = {
      source  = "Azure/azapi"
      version = "~> 2.12"
    }
  }

  # Where the state is: terraform init -backend-config=env/dev.backend.hcl
  backend "azurerm" {
    use_azuread_auth = true
  }
}
