//! Whoever is not who they say they are is refused, and goes on record.

use std::time::Duration;

use anyhow::{Context as _, Result};
use chapar_proto::{
    admin::v1 as admin,
    v1::{self, follow_request},
};
use chapar_tests::{
    attacker::{self, Disguise, Impostor},
    behaviours,
    echo::{self, pb::EchoRequest},
    evidence,
    mesh::{CONSUMER, EchoClient, Mesh, PROVIDER, STRANGER, client_of},
    refusal,
    sidecar::{Plan, Sidecar},
    wait,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient as OtlpClient},
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use time::OffsetDateTime;
use tonic::{Code, Request, Status};

const ASKER: &str = "spiffe://exchange.example/agency/asker/sidecar/main";
const ANSWERER: &str = "spiffe://exchange.example/agency/answerer/sidecar/main";
const ABROAD: &str = "spiffe://other.example/agency/asker/sidecar/main";
/// How long a change may take to reach sidecars on a loaded machine.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);

behaviours!(World::start:
    a_sidecar_lets_no_impostor_in,
    forged_metadata_makes_nobody_else,
    the_control_plane_lets_no_impostor_in,
    a_sidecar_stays_at_its_own_door,
    a_sidecar_speaks_for_its_own_agency_alone,
    a_revoked_certificate_opens_nothing,
    nobody_answers_in_a_providers_place,
);

/// A mesh, and in it a stranger without any grant.
struct World {
    mesh: Mesh,
    stranger: Sidecar,
}

impl World {
    async fn start() -> Result<Self> {
        let mesh = Mesh::start().await?;
        let stranger = mesh.join(&Plan::consumer(STRANGER, mesh.control_plane.address("sidecars"))).await?;
        mesh.control_plane.distributed(3).await?;
        Ok(Self { mesh, stranger })
    }
}

/// What somebody who is no sidecar of the exchange can show, with the reason that a sidecar and the control plane record.
fn disguises(mesh: &Mesh) -> Result<Vec<(&'static str, Disguise, &'static str, &'static str)>> {
    let folder = mesh.control_plane.folder();
    let yesterday = OffsetDateTime::now_utc() - Duration::from_secs(86_400);
    let nobody = "PEER_NOT_IDENTIFIED";
    Ok(vec![
        ("self-signed", Disguise::self_signed(ASKER)?, nobody, "CERTIFICATE_FOREIGN"),
        ("of an authority of the same name", Disguise::of_a_namesake(ASKER)?, nobody, "CERTIFICATE_FOREIGN"),
        ("of another trust domain", Disguise::by_stolen_authority(folder, &[ABROAD])?, nobody, "CERTIFICATE_FOREIGN"),
        ("with two names", Disguise::by_stolen_authority(folder, &[ASKER, ANSWERER])?, nobody, "CERTIFICATE_IDENTITY"),
        ("without a name", Disguise::by_stolen_authority(folder, &[])?, nobody, "CERTIFICATE_IDENTITY"),
        (
            "expired",
            Disguise::by_stolen_authority_until(folder, &[ASKER], yesterday)?,
            "CERTIFICATE_EXPIRED",
            "CERTIFICATE_EXPIRED",
        ),
    ])
}

async fn ask(address: &str, disguise: Option<&Disguise>) -> Result<Result<Vec<String>, Status>> {
    let answer = EchoClient::new(attacker::channel(address, disguise)?).unary(EchoRequest::default()).await;
    Ok(answer.map(|answer| answer.into_inner().metadata))
}

async fn a_sidecar_lets_no_impostor_in(World { mesh, .. }: &mut World) -> Result<()> {
    let mut attacks = vec![("no certificate", None, "PEER_NOT_IDENTIFIED")];
    attacks.extend(disguises(mesh)?.into_iter().map(|(name, disguise, reason, _)| (name, Some(disguise), reason)));
    for (name, disguise, reason) in attacks {
        let before = evidence::refused_ids(&mesh.control_plane, PROVIDER).await?;
        let status = ask(mesh.provider.address("inbound"), disguise.as_ref()).await?.expect_err(name);
        assert!(refusal::of(&status).is_none(), "{name}: not even a status is given to whom the handshake refuses: {status:?}");
        let record = evidence::next_refused(&mesh.control_plane, PROVIDER, &before).await.context(name)?;
        assert_eq!((record.reason.as_str(), record.consumer.as_str()), (reason, ""), "{name}: {record:?}");
    }
    Ok(())
}

async fn forged_metadata_makes_nobody_else(World { mesh, stranger }: &mut World) -> Result<()> {
    let forged = |names: &[(&'static str, &str)]| -> Result<Request<EchoRequest>> {
        let mut request = Request::new(EchoRequest::default());
        for (name, value) in names {
            request.metadata_mut().insert(*name, value.parse()?);
        }
        Ok(request)
    };
    // By an application without any grant.
    let request = forged(&[("chapar-consumer", CONSUMER), ("chapar-grant", "test-1/1/asker/echo-unary")])?;
    let status = client_of(stranger)?.unary(request).await.expect_err("the stranger has no grant");
    let refused = refusal::of(&status).context("refused by the exchange")?;
    assert_eq!((refused.reason.as_str(), refused.metadata["consumer"].as_str()), ("NO_GRANT", STRANGER));

    // By a sidecar without any grant, to the provider itself.
    let stolen = Disguise::stolen_from(stranger.state())?;
    let mut peer = EchoClient::new(attacker::channel(mesh.provider.address("inbound"), Some(&stolen))?);
    let forgery = [("chapar-consumer", CONSUMER), ("chapar-side", "provider"), ("chapar-grant", "test-1/1/asker/echo-unary")];
    let status = peer.unary(forged(&forgery)?).await.expect_err("the stranger has no grant");
    let refused = refusal::of(&status).context("refused by the exchange")?;
    assert_eq!((refused.reason.as_str(), refused.metadata["consumer"].as_str()), ("NO_GRANT", STRANGER));
    let account = &evidence::accounts(&mesh.control_plane, &refused.call_id).await?[0];
    assert_eq!(account.attributes.get("chapar.consumer").map(String::as_str), Some(STRANGER));
    assert_eq!(account.reporter, ANSWERER);

    // By a sidecar with a grant: it stays who it is, and its forgery does not reach the agency's server.
    let own = Disguise::stolen_from(mesh.consumer.state())?;
    let mut peer = EchoClient::new(attacker::channel(mesh.provider.address("inbound"), Some(&own))?);
    let answer = peer.unary(forged(&[("chapar-consumer", STRANGER), ("chapar-agency", STRANGER)])?).await?;
    let call_id = answer.metadata().get("chapar-call-id").context("every call has an ID")?.to_str()?.to_owned();
    assert!(!answer.get_ref().metadata.iter().any(|line| line.contains(STRANGER)), "{:?}", answer.get_ref().metadata);
    let account = &evidence::accounts(&mesh.control_plane, &call_id).await?[0];
    assert_eq!(account.attributes.get("chapar.consumer").map(String::as_str), Some(CONSUMER));
    Ok(())
}

async fn renew(address: &str, disguise: Option<&Disguise>) -> Result<Status> {
    let mut client = v1::enrolment_service_client::EnrolmentServiceClient::new(attacker::channel(address, disguise)?);
    let key = rcgen::KeyPair::generate()?;
    let csr_der = rcgen::CertificateParams::default().serialize_request(&key)?.der().to_vec();
    Ok(client.renew(v1::RenewRequest { csr_der }).await.expect_err("nobody in disguise is given a certificate"))
}

async fn the_control_plane_lets_no_impostor_in(World { mesh, .. }: &mut World) -> Result<()> {
    let plane = &mesh.control_plane;
    let status = renew(plane.address("sidecars"), None).await?;
    assert_eq!((status.code(), refusal::reason(&status).as_str()), (Code::Unauthenticated, "CERTIFICATE_MISSING"));
    assert_eq!(evidence::audited(plane, "request.refuse").await?[0].reason, "CERTIFICATE_MISSING");
    for listener in ["sidecars", "admin"] {
        for (name, disguise, _, reason) in disguises(mesh)? {
            let before = evidence::audited(plane, "connection.refuse").await?.len();
            renew(plane.address(listener), Some(&disguise)).await?;
            let entry = evidence::next_audited(plane, "connection.refuse", before).await.context(name)?;
            assert_eq!((entry.reason.as_str(), entry.object.as_str()), (reason, listener), "{name}: {entry:?}");
            assert!(entry.actor.starts_with("127.0.0.1:"), "nobody is named who did not prove to be it: {entry:?}");
        }
    }
    // A thief of the issuing key can make a certificate that is right in every respect, but that was never issued.
    let thief = Disguise::by_stolen_authority(plane.folder(), &[ASKER])?;
    let status = renew(plane.address("sidecars"), Some(&thief)).await?;
    assert_eq!(refusal::reason(&status), "CERTIFICATE_UNKNOWN");
    Ok(())
}

async fn a_sidecar_stays_at_its_own_door(World { mesh, stranger }: &mut World) -> Result<()> {
    let plane = &mesh.control_plane;
    let before = evidence::audited(plane, "connection.refuse").await?.len();
    let mut nobody = admin::agency_service_client::AgencyServiceClient::new(attacker::channel(plane.address("admin"), None)?);
    nobody.list_agencies(admin::ListAgenciesRequest::default()).await.expect_err("a certificate is required");
    assert_eq!(evidence::next_audited(plane, "connection.refuse", before).await?.reason, "CERTIFICATE_MISSING");

    let before = evidence::audited(plane, "request.refuse").await?.len();
    let stolen = Disguise::stolen_from(stranger.state())?;
    let channel = attacker::channel(plane.address("admin"), Some(&stolen))?;
    let request = admin::CreateTokenRequest { agency: CONSUMER.to_owned(), ..Default::default() };
    let status = admin::token_service_client::TokenServiceClient::new(channel).create_token(request).await;
    let status = status.expect_err("a sidecar is no admin");
    assert_eq!((status.code(), refusal::reason(&status).as_str()), (Code::PermissionDenied, "ADMIN_REQUIRED"));
    let entry = evidence::next_audited(plane, "request.refuse", before).await?;
    assert_eq!((entry.reason.as_str(), entry.actor.contains("/agency/stranger/")), ("ADMIN_REQUIRED", true), "{entry:?}");
    Ok(())
}

async fn a_sidecar_speaks_for_its_own_agency_alone(World { mesh, stranger }: &mut World) -> Result<()> {
    let plane = &mesh.control_plane;
    let stolen = Disguise::stolen_from(stranger.state())?;
    let channel = attacker::channel(plane.address("sidecars"), Some(&stolen))?;

    let hello = v1::Hello { spiffe_id: ASKER.to_owned(), ..Default::default() };
    let hello = v1::FollowRequest { message: Some(follow_request::Message::Hello(hello)) };
    let mut snapshots = v1::snapshot_service_client::SnapshotServiceClient::new(channel.clone());
    let status = snapshots.follow(tokio_stream::once(hello)).await.expect_err("the snapshot is another's");
    assert_eq!((status.code(), refusal::reason(&status).as_str()), (Code::PermissionDenied, "FOREIGN_SNAPSHOT"));
    let entry = evidence::next_audited(plane, "snapshot.follow", 0).await?;
    assert_eq!((entry.reason.as_str(), entry.object.as_str()), ("FOREIGN_SNAPSHOT", ASKER), "{entry:?}");

    let offered =
        v1::OfferedService { grpc_service: echo::GRPC_SERVICE.to_owned(), descriptor_set: echo::DESCRIPTOR_SET.to_vec() };
    let request =
        v1::RegisterRequest { advertised_address: "127.0.0.1:1".to_owned(), services: vec![offered], ..Default::default() };
    let mut registrations = v1::registration_service_client::RegistrationServiceClient::new(channel.clone());
    let status = registrations.register(request).await.expect_err("the service is another's");
    assert_eq!((status.code(), refusal::reason(&status).as_str()), (Code::PermissionDenied, "FOREIGN_SERVICE"));
    let entry = evidence::next_audited(plane, "sidecar.register", 0).await?;
    assert_eq!((entry.reason.as_str(), entry.actor.contains("/agency/stranger/")), ("FOREIGN_SERVICE", true), "{entry:?}");

    let report = forged_report();
    let told = OtlpClient::new(channel).export(report).await?.into_inner().partial_success.context("a span is rejected")?;
    assert_eq!(told.rejected_spans, 1);
    assert!(told.error_message.contains("SPAN_FORGED"), "{told:?}");
    assert_eq!(evidence::next_audited(plane, "trace.refuse", 0).await?.reason, "SPAN_FORGED");
    let request = admin::GetTraceRequest { id: "77".repeat(16) };
    let traces = admin::trace_service_client::TraceServiceClient::new(plane.channel()).get_trace(request).await;
    assert_eq!(refusal::reason(&traces.expect_err("it was not kept")), "TRACE_UNKNOWN");
    Ok(())
}

/// A call that the consumer never made, reported as if by its own sidecar.
fn forged_report() -> ExportTraceServiceRequest {
    let text = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) }),
        ..Default::default()
    };
    let now_ns = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or_default() * 1_000_000_000;
    let span = Span {
        trace_id: vec![0x77; 16],
        span_id: vec![0x77; 8],
        name: "chapar.test.v1.EchoService/Unary".to_owned(),
        start_time_unix_nano: now_ns,
        end_time_unix_nano: now_ns,
        attributes: vec![
            text("chapar.call_id", &"77".repeat(16)),
            text("chapar.side", "consumer"),
            text("chapar.consumer", CONSUMER),
            text("chapar.provider", PROVIDER),
        ],
        ..Default::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
}

async fn a_revoked_certificate_opens_nothing(World { mesh, .. }: &mut World) -> Result<()> {
    let plane = &mesh.control_plane;
    let spare = mesh.join(&Plan::consumer(CONSUMER, plane.address("sidecars")).named("spare")).await?;
    let stolen = Disguise::stolen_from(spare.state())?;
    drop(spare);
    let inbound = mesh.provider.address("inbound");
    ask(inbound, Some(&stolen)).await??;
    let mut certificates = admin::certificate_service_client::CertificateServiceClient::new(plane.channel());
    let (serial, reason) = (stolen.serial()?, "the key was stolen".to_owned());
    certificates.revoke_certificate(admin::RevokeCertificateRequest { serial, reason }).await?;

    let refused = wait::until("the provider to know of the revocation", CHANGE_LIMIT, || async {
        refusal::of(&ask(inbound, Some(&stolen)).await.ok()?.err()?)
    })
    .await?;
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Unauthenticated, "CERTIFICATE_REVOKED"), "{refused:?}");
    assert!(refused.message.contains("the key was stolen"), "{refused:?}");
    let account = &evidence::accounts(plane, &refused.call_id).await?[0];
    assert_eq!(account.attributes.get("chapar.reason").map(String::as_str), Some("CERTIFICATE_REVOKED"));

    let before = evidence::audited(plane, "request.refuse").await?.len();
    let status = renew(plane.address("sidecars"), Some(&stolen)).await?;
    assert_eq!((status.code(), refusal::reason(&status).as_str()), (Code::PermissionDenied, "CERTIFICATE_REVOKED"));
    assert_eq!(evidence::next_audited(plane, "request.refuse", before).await?.reason, "CERTIFICATE_REVOKED");
    Ok(())
}

async fn nobody_answers_in_a_providers_place(World { mesh, stranger }: &mut World) -> Result<()> {
    let place = mesh.provider.address("inbound").to_owned();
    mesh.provider.kill().await?;
    let impostors = [
        ("another agency's sidecar", Disguise::stolen_from(stranger.state())?),
        ("a certificate of its own making", Disguise::self_signed(ANSWERER)?),
    ];
    for (name, disguise) in impostors {
        let impostor = Impostor::start(&place, &disguise).await?;
        let refused = wait::until(&format!("the consumer to meet {name}"), CHANGE_LIMIT, || async {
            let status =
                mesh.client().ok()?.unary(EchoRequest { payload: b"private".to_vec(), ..Default::default() }).await.err()?;
            refusal::of(&status).filter(|refused| refused.reason == "PEER_IDENTITY_MISMATCH")
        })
        .await?;
        assert_eq!((refused.code, refused.metadata["who_must_act"].as_str()), (Code::Unavailable, "provider-operator"), "{name}");
        assert!(impostor.visits() > 0, "{name}");
        assert_eq!(impostor.heard_bytes(), 0, "{name}: not a byte of a call goes to whom the consumer does not trust");
        let account = &evidence::accounts(&mesh.control_plane, &refused.call_id).await?[0];
        assert_eq!(account.attributes.get("chapar.reason").map(String::as_str), Some("PEER_IDENTITY_MISMATCH"), "{name}");
        assert_eq!(account.attributes.get("chapar.consumer").map(String::as_str), Some(CONSUMER), "{name}");
        impostor.leave().await;
    }
    mesh.provider.restart().await?;
    mesh.provider.ready().await
}
