variable "names" {
  description = "Names of the two accounts."
  type        = object({ host = string, overflow = string })
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

variable "apps" {
  description = "Names of the apps: each has a container for what is deployed."
  type        = set(string)
}

variable "replication" {
  description = "LRS, ZRS ..."
  type        = string
}

variable "public" {
  description = "Whether the accounts can be reached from outside the virtual network."
  type        = bool
}

variable "overflow_container" {
  description = "Container of bodies that exceed the bus's limit: `blobs.container` in sluice.toml."
  type        = string
}

variable "overflow_days" {
  description = "Days after which such a body is deleted. Longer than a message can live, or what it refers to is gone."
  type        = number
}

variable "blob_roles" {
  description = "From the module topology: each app's role on that container."
  type        = map(string)
}

variable "principals" {
  description = "Principal ids of the apps' identities, by app."
  type        = map(string)
}
