variable "name" {
  description = "Name of the namespace."
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

variable "service_bus" {
  description = "Tier: Standard, or Premium with messaging units (1, 2, 4, 8, 16) and partitions (1, 2, 4; for ever)."
  type = object({
    sku        = string
    capacity   = optional(number, 0)
    partitions = optional(number, 0)
  })
}

variable "public" {
  description = "Whether the namespace can be reached from outside the virtual network."
  type        = bool
}

variable "topics" {
  description = "From the module topology."
  type = map(object({
    duplicate_detection_window = string
    default_time_to_live       = string
  }))
}

variable "subscriptions" {
  description = "From the module topology."
  type = map(object({
    topic                     = string
    name                      = string
    filter                    = map(string)
    lock_duration             = string
    max_delivery_count        = number
    dead_letter_on_expiration = bool
  }))
}

variable "senders" {
  description = "From the module topology."
  type        = map(object({ app = string, topic = string }))
}

variable "receivers" {
  description = "From the module topology."
  type        = map(object({ app = string, subscription = string }))
}

variable "principals" {
  description = "Principal ids of the apps' identities, by app."
  type        = map(string)
}
