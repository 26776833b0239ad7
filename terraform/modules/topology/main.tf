# What goes through the bus and into the store, and who may do what with it. Pure: no provider, no resource.
# topology.json is what `sluice topology` prints: the program, its emulators' configuration and this module have one source.

locals {
  topology = jsondecode(file("${path.module}/topology.json"))

  subscriptions = merge([
    for topic, entry in local.topology.topics : {
      for name, subscription in entry.subscriptions :
      "${topic}/${name}" => merge(subscription, { topic = topic, name = name })
    }
  ]...)

  senders = merge([
    for app, entry in local.topology.apps : { for topic in entry.sends : "${app}:${topic}" => { app = app, topic = topic } }
  ]...)

  # Receiving and looking after dead letters need the same role on the same scope.
  receivers = merge([
    for app, entry in local.topology.apps : {
      for subscription in distinct(concat(entry.receives, entry.recovers)) :
      "${app}:${subscription}" => { app = app, subscription = subscription }
    }
  ]...)

  # Bodies that exceed the bus's limit: the door writes them, processors read them, an operator may look and discard.
  blobs = {
    ingest = "Storage Blob Data Contributor"
    sms    = "Storage Blob Data Reader"
    email  = "Storage Blob Data Reader"
    voice  = "Storage Blob Data Reader"
    ops    = "Storage Blob Data Contributor"
  }

  # The door writes what the bus did not take in time; its counts and the document by which it tells whether the store is well
  # are in the registry. The others work with every container.
  documents = merge(
    {
      "ingest:spool"    = { app = "ingest", container = "spool", writes = true }
      "ingest:registry" = { app = "ingest", container = "registry", writes = true }
    },
    { for app in keys(local.topology.apps) : app => { app = app, container = null, writes = true } if app != "ingest" },
  )
}
