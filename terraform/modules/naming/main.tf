# Names, by Microsoft's abbreviations: <abbreviation>-<workload>-<environment>-<region>-<instance>[-<app>].
# Pure: no provider, no resource, so that it is tested anywhere.

locals {
  parts = [var.workload, var.environment, var.location_short, var.instance]
  base  = join("-", local.parts)
  # What must be unique in the world and has room for 24 letters and digits gets a few that depend on everything else.
  compact = "${substr(join("", local.parts), 0, 16)}${substr(sha256(local.base), 0, 4)}"

  # The Functions host takes its id from the first 32 characters: names that are equal so far would share locks.
  app_names = { for app in var.apps : app => "func-${local.base}-${app}" }
  apps = {
    for app, name in local.app_names :
    app => length(name) <= 32 ? name : "${substr(name, 0, 27)}-${substr(sha256(name), 0, 4)}"
  }
}
