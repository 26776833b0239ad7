# The bus: topics, subscriptions with exactly one rule each, and who may send and receive.

resource "azurerm_servicebus_namespace" "this" {
  name                          = var.name
  resource_group_name           = var.resource_group_name
  location                      = var.location
  sku                           = var.service_bus.sku
  capacity                      = var.service_bus.capacity
  premium_messaging_partitions  = var.service_bus.partitions
  local_auth_enabled            = false
  minimum_tls_version           = "1.2"
  public_network_access_enabled = var.public
  tags                          = var.tags
}

resource "azurerm_servicebus_topic" "this" {
  for_each = var.topics

  name         = each.key
  namespace_id = azurerm_servicebus_namespace.this.id
  # Neither can be changed later.
  requires_duplicate_detection            = each.value.duplicate_detection_window != "PT0S"
  duplicate_detection_history_time_window = each.value.duplicate_detection_window == "PT0S" ? null : each.value.duplicate_detection_window
  default_message_ttl                     = each.value.default_time_to_live
  partitioning_enabled                    = var.service_bus.partitions > 1

  lifecycle {
    # Messages that wait in it would go with it.
    prevent_destroy = true
  }
}

resource "azurerm_servicebus_subscription" "this" {
  for_each = var.subscriptions

  name                                 = each.value.name
  topic_id                             = azurerm_servicebus_topic.this[each.value.topic].id
  max_delivery_count                   = each.value.max_delivery_count
  lock_duration                        = each.value.lock_duration
  dead_lettering_on_message_expiration = each.value.dead_letter_on_expiration
}

# Azure creates every subscription with a rule that takes everything; the provider's feature
# `auto_delete_subscription_default_rule` (see providers.tf) removes it, so that this one is the only one.
resource "azurerm_servicebus_subscription_rule" "this" {
  for_each = var.subscriptions

  name            = "filter"
  subscription_id = azurerm_servicebus_subscription.this[each.key].id
  filter_type     = length(each.value.filter) > 0 ? "CorrelationFilter" : "SqlFilter"
  sql_filter      = length(each.value.filter) > 0 ? null : "1=1"

  dynamic "correlation_filter" {
    for_each = length(each.value.filter) > 0 ? [each.value.filter] : []

    content {
      properties = correlation_filter.value
    }
  }
}

resource "azurerm_role_assignment" "sender" {
  for_each = var.senders

  scope                = azurerm_servicebus_topic.this[each.value.topic].id
  role_definition_name = "Azure Service Bus Data Sender"
  principal_id         = var.principals[each.value.app]
  principal_type       = "ServicePrincipal"
}

# On the subscription: a receiver on the topic is refused by some of the host's calls.
resource "azurerm_role_assignment" "receiver" {
  for_each = var.receivers

  scope                = azurerm_servicebus_subscription.this[each.value.subscription].id
  role_definition_name = "Azure Service Bus Data Receiver"
  principal_id         = var.principals[each.value.app]
  principal_type       = "ServicePrincipal"
}
