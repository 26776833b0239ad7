# terraform -chdir=terraform/modules/naming test

variables {
  workload       = "contoso"
  environment    = "prod"
  location_short = "weu"
  instance       = "001"
  apps           = ["ingest", "sms", "email", "voice", "delivery", "ops"]
}

run "names_follow_the_pattern" {
  command = plan

  assert {
    condition     = output.resource_group == "rg-contoso-prod-weu-001"
    error_message = "got ${output.resource_group}"
  }
  assert {
    condition     = output.service_bus_namespace == "sbns-contoso-prod-weu-001"
    error_message = "got ${output.service_bus_namespace}"
  }
  assert {
    condition     = output.apps["sms"] == "func-contoso-prod-weu-001-sms"
    error_message = "got ${output.apps["sms"]}"
  }
}

run "the_longest_parts_stay_within_azures_limits" {
  command = plan

  variables {
    workload       = "abcdefghij"
    environment    = "test"
    location_short = "uaen1"
    instance       = "999"
  }

  assert {
    condition     = alltrue([for name in values(output.apps) : length(name) <= 32])
    error_message = "a Function App's name has more than 32 characters: ${jsonencode(output.apps)}"
  }
  assert {
    condition     = length(distinct(values(output.apps))) == 6
    error_message = "two apps share a name: ${jsonencode(output.apps)}"
  }
  assert {
    condition = alltrue([
      for name in [output.host_storage_account, output.overflow_storage_account] : can(regex("^[a-z0-9]{3,24}$", name))
    ])
    error_message = "${output.host_storage_account}, ${output.overflow_storage_account}: 3 to 24 letters and digits"
  }
  assert {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", output.key_vault))
    error_message = "${output.key_vault}: 3 to 24 characters"
  }
  assert {
    condition     = length(output.service_bus_namespace) <= 50 && !can(regex("-(sb|mgmt)$", output.service_bus_namespace))
    error_message = "${output.service_bus_namespace}: at most 50 characters, and no reserved ending"
  }
  assert {
    condition     = length(output.cosmos_account) <= 44
    error_message = "${output.cosmos_account}: at most 44 characters"
  }
}

run "stamps_share_no_name" {
  command = plan

  variables {
    instance = "002"
  }

  assert {
    condition     = output.key_vault != "kv-contosoprodweu00" && output.host_storage_account != run.names_follow_the_pattern.host_storage_account
    error_message = "two instances share the storage account ${output.host_storage_account}"
  }
}

run "bad_parts_are_refused" {
  command = plan

  variables {
    workload       = "Con-toso"
    environment    = "production"
    location_short = "west europe"
    instance       = "1"
  }

  expect_failures = [var.workload, var.environment, var.location_short, var.instance]
}
