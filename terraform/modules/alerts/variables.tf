variable "name" {
  description = "What the names of alerts end with."
  type        = string
}

variable "action_group" {
  description = "Name of the action group."
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

variable "emails" {
  description = "Who is told."
  type        = set(string)
}

variable "backlog" {
  description = "Messages of a topic that may wait for a quarter of an hour before somebody is told."
  type        = number
  default     = 1000
}

variable "namespace_id" {
  description = "Resource id of the Service Bus namespace."
  type        = string
}

variable "insights_id" {
  description = "Resource id of Application Insights."
  type        = string
}
