provider "azurerm" {
  subscription_id = var.subscription_id
  # Accounts have no keys: the data plane is asked with the deployer's own identity.
  storage_use_azuread = true

  features {
    servicebus {
      # Azure creates a rule that takes everything with each subscription.
      auto_delete_subscription_default_rule = true
    }
    key_vault {
      purge_soft_delete_on_destroy = false
    }
  }
}

provider "azapi" {
  subscription_id = var.subscription_id
}
