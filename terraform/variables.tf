variable "subscription_id" {
  description = "The subscription to deploy into."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", lower(var.subscription_id)))
    error_message = "subscription_id: a GUID, as `az account show --query id` prints it."
  }
}

variable "workload" {
  description = "Short name of what is deployed, 2 to 10 letters and digits. Part of host names that are unique in the world: take your company's or product's."
  type        = string
}

variable "environment" {
  description = "Stage: dev, test, prod ..."
  type        = string
}

variable "location" {
  description = "Azure region, e.g. westeurope."
  type        = string
}

variable "location_short" {
  description = "Short name of the region, for names: weu ..."
  type        = string
}

variable "instance" {
  description = "Number of this copy. One copy takes some 10,000 callbacks a second; beyond that, deploy several and spread vendors' URLs over them."
  type        = string
  default     = "001"
}

variable "public_url" {
  description = "The URL that vendors were given, exactly: many sign it. null: the host name of the app ingest."
  type        = string
  default     = null

  validation {
    condition     = var.public_url == null || can(regex("^https://[^/]+$", var.public_url))
    error_message = "public_url: https, a host name, no path and no slash at the end."
  }
}

variable "hosting" {
  description = "flex (Flex Consumption, scales to zero and to hundreds) or dedicated (Linux plans that are always on)."
  type        = string
  default     = "flex"

  validation {
    condition     = contains(["flex", "dedicated"], var.hosting)
    error_message = "hosting: flex or dedicated."
  }
}

variable "service_bus" {
  description = "Tier of the bus. Standard takes about 250 callbacks a second (1,000 credits, of which a callback costs 4); Premium some 2,000 a second for each messaging unit."
  type = object({
    sku        = string
    capacity   = optional(number, 0)
    partitions = optional(number, 0)
  })

  validation {
    condition     = contains(["Standard", "Premium"], var.service_bus.sku)
    error_message = "service_bus.sku: Standard or Premium. Basic has no topics."
  }
  validation {
    condition     = var.service_bus.sku == "Premium" ? contains([1, 2, 4, 8, 16], var.service_bus.capacity) && contains([1, 2, 4], var.service_bus.partitions) : var.service_bus.capacity == 0 && var.service_bus.partitions == 0
    error_message = "service_bus: Premium wants capacity 1, 2, 4, 8 or 16 and partitions 1, 2 or 4; Standard has neither."
  }
}

variable "cosmos" {
  description = "Serverless (up to 5,000 request units a second for each physical partition), or autoscale up to max_throughput. A callback costs some 30."
  type = object({
    serverless     = bool
    max_throughput = optional(number)
    zone_redundant = optional(bool, false)
  })

  validation {
    condition     = var.cosmos.serverless == (var.cosmos.max_throughput == null)
    error_message = "cosmos: either serverless, or max_throughput."
  }
  validation {
    condition     = var.cosmos.max_throughput == null || try(var.cosmos.max_throughput >= 1000 && var.cosmos.max_throughput % 1000 == 0, false)
    error_message = "cosmos.max_throughput: 1000 or more, in thousands."
  }
}

variable "storage_replication" {
  description = "Replication of the storage accounts: LRS, ZRS ..."
  type        = string
  default     = "ZRS"
}

variable "overflow_days" {
  description = "Days after which a body that exceeded the bus's limit is deleted. Longer than messages live and records wait."
  type        = number
  default     = 45

  validation {
    condition     = var.overflow_days > 14
    error_message = "overflow_days: messages live for 14 days, and refer to these bodies."
  }
}

variable "functions" {
  description = "Size of each app: memory_mb, max_instances, always_ready by group (http, function:<name>); dedicated_sku and workers where hosting is dedicated."
  type = map(object({
    memory_mb     = optional(number, 512)
    max_instances = optional(number, 40)
    always_ready  = optional(map(number), {})
    dedicated_sku = optional(string, "P0v3")
    workers       = optional(number, 1)
  }))
  default = {}

  validation {
    condition     = alltrue([for size in values(var.functions) : contains([512, 2048, 4096], size.memory_mb)])
    error_message = "functions: memory_mb is 512, 2048 or 4096."
  }
}

variable "vendor_secrets" {
  description = "Environment variables that hold vendors' secrets, as sluice.toml names them. Their values are put into the vault with `az keyvault secret set`, never here."
  type        = set(string)
  default     = []
}

variable "partner_secrets" {
  description = "Environment variables (PARTNER_...) that hold values of headers which partners want."
  type        = set(string)
  default     = []
}

variable "sampling_ratio" {
  description = "Share of the traces that are kept, 0 to 1. Metrics count everything."
  type        = number
  default     = 0.1

  validation {
    condition     = var.sampling_ratio >= 0 && var.sampling_ratio <= 1
    error_message = "sampling_ratio: between 0 and 1."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept: 30 to 730."
  type        = number
  default     = 30
}

variable "log_daily_quota_gb" {
  description = "Gigabytes of logs a day, at the most; -1: no limit."
  type        = number
  default     = 5
}

variable "alert_emails" {
  description = "Who is told of alerts."
  type        = set(string)
  default     = []
}

variable "sql" {
  description = "The SQL database of the function project-sql: its Entra ID administrators. null: none."
  type        = object({ administrator = object({ name = string, object_id = string }) })
  default     = null
}

variable "network" {
  description = "A private network of /22 or larger for the apps and everything that they use. null: public endpoints, and roles alone decide. Needs Service Bus Premium."
  type        = object({ address_space = string })
  default     = null

  validation {
    condition     = var.network == null || var.service_bus.sku == "Premium"
    error_message = "network: Service Bus has private endpoints in its Premium tier only."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
