//! What a world stands on where faults meet its wires: Service Bus's adapter on the embedded broker's endpoint, Cosmos DB's
//! on its emulator, and a partner, each behind a proxy.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sluice::{
    azure::{
        cosmos::CosmosDocuments,
        service_bus::{ConnectionString, ServiceBusClient, ServiceBusClientOptions},
    },
    clock::SharedClock,
    documents::Documents,
    local::{amqp::connection_string, broker::Broker, engine::Paths},
};

use super::subscriptions::AmqpSubscriptions;
use crate::support::{
    self, Ground,
    bus::{EndpointThread, Transport},
    chaos_proxy::ChaosProxy,
    cosmos::{DATABASE, Emulator},
};

/// As short as the run's other limits.
const OPTIONS: ServiceBusClientOptions =
    ServiceBusClientOptions { connect_timeout: Duration::from_secs(1), send_timeout: Duration::from_millis(700) };

/// What is reached through a proxy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wired {
    pub bus: bool,
    pub documents: bool,
    /// The first partner; the others are not.
    pub partner: bool,
}

impl Wired {
    /// What a call to a dependency may take. Cosmos DB's emulator copies all that it has for each commit: with less
    /// patience, a busy machine does nothing but repeat itself.
    pub fn patience(self) -> Duration {
        Duration::from_millis(if self.documents { 2_000 } else { 700 })
    }

    /// How often the timer fires: each sweep asks for everything, which is dear there, too.
    pub fn sweeps_every(self) -> Duration {
        Duration::from_millis(if self.documents { 1_000 } else { 200 })
    }
}

/// The proxies of a world.
#[derive(Debug, Default)]
pub struct Wire {
    /// The way of what is published.
    pub publishing: Option<ChaosProxy>,
    /// The way of what is received.
    pub receiving: Option<ChaosProxy>,
    pub documents: Option<ChaosProxy>,
    pub partner: Option<ChaosProxy>,
    /// Who judges has connections of its own, which met no fault, and patience.
    pub judge: Option<Arc<dyn Documents>>,
}

impl Wire {
    /// The ports of the test app; those that are not wired are the embedded ones.
    pub fn ground(&mut self, wired: Wired, broker: &Broker, paths: &Paths, clock: &SharedClock) -> Ground {
        let transport = match wired.bus {
            false => Transport::Embedded,
            true => {
                let endpoint = EndpointThread::start(broker.clone(), clock.clone());
                let publishing = self.publishing.insert(ChaosProxy::start(endpoint.address));
                let publisher = client(publishing.address, clock);
                // As the program does at its start.
                publisher.create_sender("callbacks");
                self.receiving = Some(ChaosProxy::start(endpoint.address));
                Transport::ServiceBus(Arc::new(publisher), endpoint)
            }
        };
        let documents = match wired.documents {
            false => support::documents(paths, clock),
            true => {
                let proxy = &mut self.documents;
                let emulator = Emulator::http_behind(|address| proxy.insert(ChaosProxy::start(address)).address);
                let emulator = emulator.with_containers();
                self.judge = Some(Arc::new(emulator.documents()));
                // A little less than callers wait, as in the program.
                Arc::new(CosmosDocuments::new(emulator.account(), DATABASE, wired.patience().mul_f64(0.9)))
            }
        };
        Ground { transport, documents }
    }

    /// Where a partner is reached through a proxy.
    pub fn partner(&mut self, url: &str) -> String {
        let mut url: url::Url = url.parse().unwrap();
        let server = url.socket_addrs(|| None).unwrap()[0];
        let proxy = self.partner.insert(ChaosProxy::start(server));
        url.set_port(Some(proxy.address.port())).unwrap();
        url.into()
    }

    /// What a host receives from; `None`: from the embedded broker.
    pub fn subscriptions(&self, clock: &SharedClock) -> Option<Arc<AmqpSubscriptions>> {
        let proxy = self.receiving.as_ref()?;
        Some(Arc::new(AmqpSubscriptions::new(client(proxy.address, clock))))
    }

    /// Every proxy there is, with what it stands before.
    pub fn proxies(&self) -> Vec<(&'static str, &ChaosProxy)> {
        let all = [
            ("publishing", &self.publishing),
            ("receiving", &self.receiving),
            ("documents", &self.documents),
            ("partner", &self.partner),
        ];
        all.into_iter().filter_map(|(name, proxy)| Some((name, proxy.as_ref()?))).collect()
    }
}

fn client(address: SocketAddr, clock: &SharedClock) -> ServiceBusClient {
    let connection = ConnectionString::parse(&connection_string(address)).unwrap();
    ServiceBusClient::from_connection_string(connection, clock.clone(), OPTIONS)
}
