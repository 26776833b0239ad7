variable "workload" {
  description = "Short name of what is deployed. Part of host names that are unique in the world, so take your company's or product's."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,9}$", var.workload))
    error_message = "workload: 2 to 10 lower-case letters and digits, a letter first."
  }
}

variable "environment" {
  description = "Stage: dev, test, prod ..."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,3}$", var.environment))
    error_message = "environment: 2 to 4 lower-case letters and digits, a letter first."
  }
}

variable "location_short" {
  description = "Short name of the region: weu, eus2 ..."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,4}$", var.location_short))
    error_message = "location_short: 2 to 5 lower-case letters and digits, a letter first."
  }
}

variable "instance" {
  description = "Number of this copy: 001 ... Several copies (stamps) share a subscription."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{3}$", var.instance))
    error_message = "instance: three digits."
  }
}

variable "apps" {
  description = "Names of the apps."
  type        = set(string)
}
