variable "name" {
  description = "Name of the virtual network."
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

variable "address_space" {
  description = "The network's range, /22 or larger: a /26 for each app and a /26 for private endpoints."
  type        = string

  validation {
    condition     = can(cidrhost(var.address_space, 0)) && tonumber(split("/", var.address_space)[1]) <= 22
    error_message = "address_space: a range like 10.20.0.0/22, /22 or larger."
  }
}

variable "apps" {
  description = "Names of the apps."
  type        = set(string)
}

variable "hosting" {
  description = "flex or dedicated: whom the subnets are delegated to."
  type        = string
}

variable "endpoints" {
  description = "Services to be reached privately, by a name of your choice."
  type        = map(object({ resource_id = string, subresource = string, zone = string }))
}
