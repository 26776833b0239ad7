# Who is told, and of what. Each alert has a section of the same name in docs/operations.md.

locals {
  # Log queries on what the apps measure (src/telemetry): customMetrics has one row for each metric, minute and set of
  # properties. `per`: the property that the alert is told for, each of its values alone.
  queries = {
    "oldest-message" = {
      severity  = 1
      what      = "Messages have waited for more than 5 minutes: a processor is stopped, fails or is too slow."
      metric    = "sluice.subscription.oldest_age"
      per       = "subscription"
      summary   = "max(valueMax)"
      threshold = 300
    }
    "ack-latency" = {
      severity  = 1
      what      = "The door answers slowly: vendors begin to give up and to send everything again."
      metric    = "sluice.ack.duration.p95"
      per       = "vendor"
      summary   = "max(valueMax)"
      threshold = 2
    }
    "retries-growing" = {
      severity  = 2
      what      = "More than 1,000 retry records are due and not taken up: the sweep does not run, or a dependency is down."
      metric    = "sluice.retries.due"
      per       = "class"
      summary   = "max(valueMax)"
      threshold = 1000
    }
    "parked-growing" = {
      severity  = 2
      what      = "Callbacks or deliveries were given up on: somebody has to look."
      metric    = "sluice.parked"
      per       = "vendor"
      summary   = "sum(valueSum)"
      threshold = 0
    }
    "retry-storm" = {
      severity  = 2
      what      = "A vendor sends more than twice what is new: it does not get our answers, or not in time."
      metric    = "sluice.retry_storm.ratio"
      per       = "vendor"
      summary   = "max(valueMax)"
      threshold = 2
    }
    "breaker-open" = {
      severity  = 3
      what      = "A partner's endpoint fails: its deliveries wait."
      metric    = "sluice.breaker.open"
      per       = "partner"
      summary   = "max(valueMax)"
      threshold = 0
    }
    "spooled" = {
      severity  = 2
      what      = "The door keeps callbacks in the spool: the bus does not take them in time."
      metric    = "sluice.spooled"
      per       = "vendor"
      summary   = "sum(valueSum)"
      threshold = 0
    }
  }
}

resource "azurerm_monitor_action_group" "this" {
  name                = var.action_group
  resource_group_name = var.resource_group_name
  short_name          = "sluice"
  tags                = var.tags

  dynamic "email_receiver" {
    for_each = var.emails

    content {
      name                    = "email-${substr(sha256(email_receiver.value), 0, 8)}"
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }
}

resource "azurerm_monitor_metric_alert" "dead_letters" {
  name                = "dead-letters-${var.name}"
  resource_group_name = var.resource_group_name
  scopes              = [var.namespace_id]
  description         = "The broker gave up on messages: a processor could neither process nor keep them."
  severity            = 1
  frequency           = "PT5M"
  window_size         = "PT5M"
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.ServiceBus/namespaces"
    metric_name      = "DeadletteredMessages"
    aggregation      = "Maximum"
    operator         = "GreaterThan"
    threshold        = 0

    dimension {
      name     = "EntityName"
      operator = "Include"
      values   = ["*"]
    }
  }

  action {
    action_group_id = azurerm_monitor_action_group.this.id
  }
}

# The age of the oldest message is told by whoever receives it: a processor that is stopped tells nothing. The broker does.
resource "azurerm_monitor_metric_alert" "backlog" {
  name                = "backlog-${var.name}"
  resource_group_name = var.resource_group_name
  scopes              = [var.namespace_id]
  description         = "Messages pile up in a topic: a processor does not run, or takes less than comes in."
  severity            = 1
  frequency           = "PT5M"
  window_size         = "PT15M"
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.ServiceBus/namespaces"
    metric_name      = "ActiveMessages"
    aggregation      = "Minimum"
    operator         = "GreaterThan"
    threshold        = var.backlog

    dimension {
      name     = "EntityName"
      operator = "Include"
      values   = ["*"]
    }
  }

  action {
    action_group_id = azurerm_monitor_action_group.this.id
  }
}

resource "azurerm_monitor_metric_alert" "throttled" {
  name                = "bus-throttled-${var.name}"
  resource_group_name = var.resource_group_name
  scopes              = [var.namespace_id]
  description         = "The bus refuses requests: its tier or its messaging units are too small for this load."
  severity            = 2
  frequency           = "PT5M"
  window_size         = "PT15M"
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.ServiceBus/namespaces"
    metric_name      = "ThrottledRequests"
    aggregation      = "Total"
    operator         = "GreaterThan"
    threshold        = 100
  }

  action {
    action_group_id = azurerm_monitor_action_group.this.id
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "this" {
  for_each = local.queries

  name                    = "${each.key}-${var.name}"
  display_name            = each.key
  description             = each.value.what
  resource_group_name     = var.resource_group_name
  location                = var.location
  scopes                  = [var.insights_id]
  severity                = each.value.severity
  evaluation_frequency    = "PT5M"
  window_duration         = "PT15M"
  auto_mitigation_enabled = true
  # The tables exist only once an app has sent something.
  skip_query_validation = true
  tags                  = var.tags

  criteria {
    query                   = <<-KQL
      customMetrics
      | where name == "${each.value.metric}"
      | extend per = tostring(customDimensions["${each.value.per}"])
      | summarize measured = ${each.value.summary} by per, bin(timestamp, 5m)
    KQL
    metric_measure_column   = "measured"
    time_aggregation_method = "Maximum"
    operator                = "GreaterThan"
    threshold               = each.value.threshold

    dimension {
      name     = "per"
      operator = "Include"
      values   = ["*"]
    }
    failing_periods {
      minimum_failing_periods_to_trigger_alert = 1
      number_of_evaluation_periods             = 1
    }
  }

  action {
    action_groups = [azurerm_monitor_action_group.this.id]
  }
}

# The same queries as charts, on one page.
resource "azurerm_application_insights_workbook" "this" {
  # Workbooks are named by a GUID.
  name                = uuidv5("url", "sluice/${var.name}")
  display_name        = "Sluice ${var.name}"
  resource_group_name = var.resource_group_name
  location            = var.location
  source_id           = lower(var.insights_id)
  tags                = var.tags

  data_json = jsonencode({
    version = "Notebook/1.0"
    items = [
      for name, query in local.queries : {
        type = 3
        name = name
        content = {
          version       = "KqlItem/1.0"
          title         = "${name}: ${query.what}"
          query         = "customMetrics | where name == \"${query.metric}\" | extend per = tostring(customDimensions[\"${query.per}\"]) | summarize ${query.summary} by per, bin(timestamp, 5m) | render timechart"
          size          = 1
          queryType     = 0
          resourceType  = "microsoft.insights/components"
          timeContext   = { durationMs = 86400000 }
          visualization = "timechart"
        }
      }
    ]
  })
}
