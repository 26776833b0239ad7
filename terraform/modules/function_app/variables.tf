variable "name" {
  description = "Name of the app; its host name is <name>.azurewebsites.net."
  type        = string
}

variable "plan_name" {
  description = "Name of the service plan."
  type        = string
}

variable "resource_group_name" {
  description = "Name of the resource group."
  type        = string
}

variable "resource_group_id" {
  description = "Resource id of the resource group."
  type        = string
}

variable "location" {
  description = "Azure region."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
}

variable "hosting" {
  description = "flex (Flex Consumption) or dedicated (a Linux plan that is always on)."
  type        = string

  validation {
    condition     = contains(["flex", "dedicated"], var.hosting)
    error_message = "hosting: flex or dedicated."
  }
}

variable "size" {
  description = "Flex: memory of an instance, instances at the most, and how many are always ready, by group (http, function:<name>)."
  type = object({
    memory_mb     = optional(number, 512)
    max_instances = optional(number, 40)
    always_ready  = optional(map(number), {})
    dedicated_sku = optional(string, "P0v3")
    workers       = optional(number, 1)
  })
}

variable "identity" {
  description = "The app's own identity."
  type        = object({ id = string, client_id = string })
}

variable "deployment_url" {
  description = "The blob container that the app's package is uploaded to."
  type        = string
}

variable "subnet_id" {
  description = "Subnet that the app reaches services from; null: none."
  type        = string
  default     = null
}

variable "public" {
  description = "Whether the app can be reached from outside the virtual network."
  type        = bool
}

variable "settings" {
  description = "App settings. Secrets are Key Vault references."
  type        = map(string)

  validation {
    condition     = alltrue([for value in values(var.settings) : !can(regex("(?i)(AccountKey|SharedAccessKey|SharedAccessSignature)=", value))])
    error_message = "settings: a connection string with a key. Use the app's identity."
  }
}
