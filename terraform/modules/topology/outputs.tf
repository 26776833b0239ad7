output "topics" {
  description = "Topics by name, each with `setting`, the app setting that function.json names it by."
  value       = local.topology.topics
}

output "subscriptions" {
  description = "Subscriptions by `topic/name`, each with the one filter that it has."
  value       = local.subscriptions
}

output "containers" {
  description = "Cosmos DB containers by name: partition key and indexes."
  value       = local.topology.containers
}

output "apps" {
  description = "Apps by name: functions with their kind of trigger, what they receive and send."
  value       = local.topology.apps
}

output "senders" {
  description = "Who publishes where."
  value       = local.senders
}

output "receivers" {
  description = "Who receives from which subscription."
  value       = local.receivers
}

output "blobs" {
  description = "The role of each app that has to do with overflowing bodies."
  value       = local.blobs
}

output "topic_settings" {
  description = "App settings that name the topics."
  value       = { for name, topic in local.topology.topics : topic.setting => name }
}

output "documents" {
  description = "What each app may do with documents; `container` null: with all of them."
  value       = local.documents
}
