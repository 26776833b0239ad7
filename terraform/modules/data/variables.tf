variable "name" {
  description = "Name of the account."
  type        = string
}

variable "resource_group_name" {
  description = "Name of the resource group."
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

variable "database" {
  description = "Name of the database: `documents.database` in sluice.toml."
  type        = string
}

variable "cosmos" {
  description = "Serverless, or autoscale up to so many request units a second, shared by all containers."
  type = object({
    serverless     = bool
    max_throughput = optional(number)
    zone_redundant = optional(bool, false)
  })
}

variable "public" {
  description = "Whether the account can be reached from outside the virtual network."
  type        = bool
}

variable "containers" {
  description = "From the module topology."
  type = map(object({
    partition_key = string
    included      = list(string)
    composite     = list(list(string))
  }))
}

variable "grants" {
  description = "From the module topology: who may read or write which container (null: all)."
  type        = map(object({ app = string, container = optional(string), writes = bool }))
}

variable "principals" {
  description = "Principal ids of the apps' identities, by app."
  type        = map(string)
}
