# terraform -chdir=terraform/modules/topology test

run "every_message_has_a_way" {
  command = plan

  assert {
    condition     = alltrue([for topic in values(output.topics) : length(topic.subscriptions) > 0])
    error_message = "a topic without subscription loses every message"
  }
  assert {
    condition = alltrue([
      for subscription in values(output.subscriptions) :
      length(subscription.filter) == 1 && alltrue([for text in values(subscription.filter) : text != ""])
    ])
    error_message = "each subscription has exactly one property to filter by: ${jsonencode(output.subscriptions)}"
  }
  assert {
    condition = alltrue([
      for topic in keys(output.topics) : length(distinct([
        for subscription in values(output.subscriptions) : jsonencode(subscription.filter) if subscription.topic == topic
      ])) == length([for subscription in values(output.subscriptions) : 1 if subscription.topic == topic])
    ])
    error_message = "two subscriptions of a topic have the same filter: a message would be processed twice"
  }
}

run "every_subscription_has_one_receiver" {
  command = plan

  assert {
    condition = alltrue([
      for name in keys(output.subscriptions) : length([for app in values(output.apps) : 1 if contains(app.receives, name)]) == 1
    ])
    error_message = "subscriptions ${jsonencode(keys(output.subscriptions))} against apps ${jsonencode(output.apps)}"
  }
  assert {
    condition     = length(setsubtract(flatten([for app in values(output.apps) : app.receives]), keys(output.subscriptions))) == 0
    error_message = "an app receives from a subscription that does not exist"
  }
  assert {
    condition     = alltrue([for topic in keys(output.topics) : length([for sender in values(output.senders) : 1 if sender.topic == topic]) > 0])
    error_message = "nobody sends to a topic"
  }
}

run "the_door_may_do_little" {
  command = plan

  assert {
    condition     = output.apps["ingest"].sends == ["callbacks"] && output.apps["ingest"].receives == [] && output.apps["ingest"].recovers == []
    error_message = "ingest faces the internet: ${jsonencode(output.apps["ingest"])}"
  }
  assert {
    condition     = length([for app in values(output.apps) : 1 if contains(keys(app.functions), "ingest")]) == 1
    error_message = "the function ingest is in one app"
  }
  assert {
    condition     = alltrue([for app in values(output.apps) : contains(keys(app.functions), "health")])
    error_message = "every app has health"
  }
  assert {
    condition     = length(setsubtract(keys(output.blobs), keys(output.apps))) == 0
    error_message = "a role for an app that does not exist"
  }
}

run "every_app_can_work_with_documents" {
  command = plan

  assert {
    condition     = toset([for grant in values(output.documents) : grant.app]) == toset(keys(output.apps))
    error_message = "an app without any document: ${jsonencode(output.documents)}"
  }
  assert {
    condition     = length(setsubtract([for grant in values(output.documents) : grant.container if grant.container != null], keys(output.containers))) == 0
    error_message = "a role on a container that does not exist"
  }
  assert {
    condition     = alltrue([for grant in values(output.documents) : grant.container != null if grant.app == "ingest"])
    error_message = "the door has no business with the ledger"
  }
  assert {
    condition = alltrue([
      for app in keys(output.apps) : anytrue([
        for grant in values(output.documents) : grant.app == app && grant.writes && (grant.container == null || grant.container == "registry")
      ])
    ])
    error_message = "every app writes its counts, and a document that its health depends on, into the registry"
  }
}

run "documents_are_found_by_an_index" {
  command = plan

  assert {
    condition = alltrue([
      for container in values(output.containers) :
      container.partition_key == "/pk" && contains(container.included, "/pk/?") && contains(container.composite, ["/pk", "/id"])
    ])
    error_message = "queries page by partition and id: ${jsonencode(output.containers)}"
  }
  assert {
    condition     = contains(output.containers["retries"].composite, ["/body/due_at", "/pk", "/id"])
    error_message = "the sweep asks for due records in their order"
  }
}
