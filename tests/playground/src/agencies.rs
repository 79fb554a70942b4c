//! The agencies that offer something, a file each: the gRPC server that it would run, an ordinary tonic server that knows nothing of the
//! exchange; and for each of its inquiries one real call with an ordinary generated client, its answer checked against the registers. The
//! client's channel leads to the consumer's own sidecar, and the client does not know it.

mod central_bank;
mod civil_registration;
mod cra;
mod deeds_registry;
mod judiciary;
mod martyrs_foundation;
mod post;
mod relief_committee;
mod requests;
mod science_ministry;
mod science_vp;
mod social_security;
mod tavanir;
mod tax_administration;
mod welfare;

use std::{fmt::Debug, net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result, bail};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Response, Status,
    metadata::MetadataMap,
    service::Routes,
    transport::{Channel, Server},
};

use crate::{catalogue::Catalogue, data::Registers};

/// The call ID that sidecars return to the caller.
const CALL_ID: &str = "chapar-call-id";

/// What came back, beside what the registers hold.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `None` when the call did not go through a sidecar.
    pub call_id: Option<String>,
    /// What was answered.
    pub got: String,
    /// What the registers hold.
    pub wanted: String,
}

impl Answer {
    /// Whether the answer is what the registers hold.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.got == self.wanted
    }

    fn new<T: Debug>(metadata: &MetadataMap, got: &T, wanted: &T) -> Self {
        Self { call_id: call_id(metadata), got: format!("{got:?}"), wanted: format!("{wanted:?}") }
    }

    fn unary<T: Debug>(response: &Response<T>, wanted: &T) -> Self {
        Self::new(response.metadata(), response.get_ref(), wanted)
    }
}

/// The call ID in a response's headers or in a status.
#[must_use]
pub fn call_id(metadata: &MetadataMap) -> Option<String> {
    metadata.get(CALL_ID).and_then(|id| id.to_str().ok()).map(str::to_owned)
}

/// Makes one call of an inquiry about someone whom the register holds.
///
/// # Errors
/// The status that came back instead of an answer; UNIMPLEMENTED, made here, for an inquiry that is not written here.
pub async fn make(inquiry: &str, channel: Channel, data: &Registers) -> std::result::Result<Answer, Status> {
    match inquiry {
        "identity-match" => civil_registration::identity_match(channel, data).await,
        "births-by-certificate-date" => civil_registration::births_by_certificate_date(channel, data).await,
        "deed-authenticity" => deeds_registry::deed_authenticity(channel, data).await,
        "welfare-client-status" => welfare::client_status(channel, data).await,
        "relief-client-status" => relief_committee::client_status(channel, data).await,
        "veteran-status" => martyrs_foundation::veteran_status(channel, data).await,
        "postal-code" => post::postal_code(channel, data).await,
        "address-of-postal-code" => post::address_of_postal_code(channel, data).await,
        "criminal-record-certificate" => judiciary::criminal_record_certificate(channel, data).await,
        "ruling-authenticity" => judiciary::ruling_authenticity(channel, data).await,
        "rulings" => judiciary::rulings(channel, data).await,
        "latest-degree" => science_ministry::latest_degree(channel, data).await,
        "study-status" => science_ministry::study_status(channel, data).await,
        "treatment-entitlement" => social_security::treatment_entitlement(channel, data).await,
        "insured-employee-check" => social_security::insured_employee_check(channel, data).await,
        "insurance-payment" => social_security::insurance_payment(channel, data).await,
        "shahkar" => cra::shahkar(channel, data).await,
        "iban-match" => central_bank::iban_match(channel, data).await,
        "new-bills" => tavanir::new_bills(channel, data).await,
        "new-bills-bulk" => tavanir::new_bills_bulk(channel, data).await,
        "connection-address" => tavanir::connection_address(channel, data).await,
        "knowledge-based-status" => science_vp::knowledge_based_status(channel, data).await,
        "payroll-tax-check" => tax_administration::payroll_tax_check(channel, data).await,
        "declaration-items" => tax_administration::declaration_items(channel, data).await,
        "knowledge-based-income" => tax_administration::knowledge_based_income(channel, data).await,
        other => Err(Status::unimplemented(format!("the playground has no call for {other}"))),
    }
}

/// The services of one agency.
///
/// # Errors
/// It offers services that are not written here.
pub fn routes(agency: &str, data: &Arc<Registers>) -> Result<Routes> {
    let data = Arc::clone(data);
    Ok(match agency {
        "central-bank" => central_bank::routes(data),
        "civil-registration" => civil_registration::routes(data),
        "cra" => cra::routes(data),
        "deeds-registry" => deeds_registry::routes(data),
        "judiciary" => judiciary::routes(data),
        "martyrs-foundation" => martyrs_foundation::routes(data),
        "post" => post::routes(data),
        "relief-committee" => relief_committee::routes(data),
        "science-ministry" => science_ministry::routes(data),
        "science-vp" => science_vp::routes(data),
        "social-security" => social_security::routes(data),
        "tavanir" => tavanir::routes(data),
        "tax-administration" => tax_administration::routes(data),
        "welfare" => welfare::routes(data),
        other => bail!("{other} offers services that no sample server answers"),
    })
}

/// Running servers of all providers.
pub struct Servers {
    /// Provider and address, in the order of the catalogue.
    addresses: Vec<(String, SocketAddr)>,
    stop: watch::Sender<bool>,
    running: JoinSet<Result<()>>,
}

impl Servers {
    /// Starts a server for each agency that offers a service, each on a free loopback port.
    ///
    /// # Errors
    /// A port cannot be bound, or an agency offers services that are not written here.
    pub async fn start(catalogue: &Catalogue, data: &Arc<Registers>) -> Result<Self> {
        let (stop, _) = watch::channel(false);
        let mut servers = Self { addresses: Vec::new(), stop, running: JoinSet::new() };
        for agency in &catalogue.agencies {
            let names: Vec<&str> = catalogue.services_of(&agency.name).map(|s| s.grpc_service).collect();
            if !names.is_empty() {
                servers.serve(&agency.name, &names, data).await?;
            }
        }
        Ok(servers)
    }

    /// Where an agency's server listens; `None` for one that provides nothing.
    #[must_use]
    pub fn address(&self, agency: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(name, _)| name == agency).map(|(_, address)| *address)
    }

    /// Stops all servers once their running calls are answered.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }

    async fn serve(&mut self, agency: &str, names: &[&str], data: &Arc<Registers>) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.with_context(|| format!("{agency}: no loopback port"))?;
        self.addresses.push((agency.to_owned(), listener.local_addr()?));
        let (reporter, health) = tonic_health::server::health_reporter();
        for name in names {
            reporter.set_service_status(*name, tonic_health::ServingStatus::Serving).await;
        }
        let router = Server::builder().add_routes(routes(agency, data)?).add_service(health);
        let mut stopped = self.stop.subscribe();
        self.running.spawn(async move {
            // Ends on the word to stop, and also when whoever would say it is gone.
            let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
            router.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop).await?;
            Ok(())
        });
        Ok(())
    }
}
