//! A certificate is had for a good token and a good request, and for nothing else.

use std::time::Duration;

use anyhow::{Context as _, Result};
use chapar_proto::{
    admin::v1 as admin,
    token::EnrolmentToken,
    v1::{EnrolRequest, enrolment_service_client::EnrolmentServiceClient},
};
use chapar_tests::{
    attacker::{self, Disguise, Impostor},
    control_plane::ControlPlane,
    evidence,
    mesh::{AGENCIES, CONSUMER, STRANGER},
    refusal,
    sidecar::{Plan, Sidecar},
    wait,
};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use tonic::Code;

/// Made with openssl; the key of the first has 1,024 bits.
const WEAK_REQUESTS: &str = include_str!("../../control-plane/tests/data/weak-requests.pem");
/// How long a token of one second may take to be expired on a loaded machine.
const EXPIRY_LIMIT: Duration = Duration::from_secs(20);

async fn exchange() -> Result<(tempfile::TempDir, ControlPlane)> {
    let folder = tempfile::Builder::new().prefix("chapar-enrolment-").tempdir()?;
    let plane = ControlPlane::start(folder.path()).await?;
    plane.apply("agencies.yaml", AGENCIES).await?;
    Ok((folder, plane))
}

/// A request as a sidecar makes it, asking for these names.
fn csr(uris: &[&str]) -> Result<Vec<u8>> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|uri| Ok(SanType::URI((*uri).try_into()?))).collect::<Result<_>>()?;
    Ok(params.serialize_request(&KeyPair::generate()?)?.der().to_vec())
}

/// Asks for a token with a life of its own.
async fn short_token(plane: &ControlPlane) -> Result<admin::CreateTokenResponse> {
    let mut tokens = admin::token_service_client::TokenServiceClient::new(plane.channel());
    let request = admin::CreateTokenRequest { agency: CONSUMER.to_owned(), valid_for_s: 1, ..Default::default() };
    Ok(tokens.create_token(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_enrolment_is_refused_for_its_own_reason_and_audited() -> Result<()> {
    let (_folder, plane) = exchange().await?;
    let mut tokens = admin::token_service_client::TokenServiceClient::new(plane.channel());
    let expired = short_token(&plane).await?;
    let revoked = plane.token(CONSUMER).await?;
    tokens.revoke_token(admin::RevokeTokenRequest { id: EnrolmentToken::parse(&revoked)?.id }).await?;
    let open = plane.token(CONSUMER).await?;
    let parsed = EnrolmentToken::parse(&open)?;
    let abroad = EnrolmentToken { trust_domain: "other.example".to_owned(), ..parsed.clone() }.to_string();
    let guessed = EnrolmentToken { secret: [7; 32], ..parsed.clone() }.to_string();
    // What counts is whom the token was made for, not whom it says it is for.
    let renamed = EnrolmentToken { agency: STRANGER.to_owned(), ..parsed }.to_string();
    let own = "spiffe://exchange.example/agency/asker/sidecar/main";
    let foreign = "spiffe://exchange.example/agency/stranger/sidecar/main";
    let id = expired.description.context("a token is described")?.id;
    has_expired(&plane, &id).await?;

    let good = csr(&[own])?;
    let weak_csr = CertificateSigningRequestDer::from_pem_slice(WEAK_REQUESTS.as_bytes())?.to_vec();
    let attacks = [
        ("", good.clone(), Code::InvalidArgument, "TOKEN_MALFORMED"),
        (&open[..open.len() - 5], good.clone(), Code::InvalidArgument, "TOKEN_MALFORMED"),
        (&abroad, good.clone(), Code::Unauthenticated, "TOKEN_UNKNOWN"),
        (&guessed, good.clone(), Code::Unauthenticated, "TOKEN_UNKNOWN"),
        (&expired.token, good.clone(), Code::Unauthenticated, "TOKEN_EXPIRED"),
        (&revoked, good.clone(), Code::Unauthenticated, "TOKEN_REVOKED"),
        (&open, b"no request".to_vec(), Code::InvalidArgument, "CSR_MALFORMED"),
        (&open, weak_csr, Code::InvalidArgument, "CSR_WEAK_KEY"),
        (&open, csr(&[foreign])?, Code::PermissionDenied, "CSR_IDENTITY_MISMATCH"),
        (&open, csr(&[own, foreign])?, Code::PermissionDenied, "CSR_IDENTITY_MISMATCH"),
        (&renamed, csr(&[foreign])?, Code::PermissionDenied, "CSR_IDENTITY_MISMATCH"),
    ];
    let mut enrolment = EnrolmentServiceClient::new(attacker::channel(plane.address("sidecars"), None)?);
    for (at, (token, csr_der, code, reason)) in attacks.into_iter().enumerate() {
        let request = EnrolRequest { token: token.to_owned(), csr_der, sidecar: String::new() };
        let status = enrolment.enrol(request).await.expect_err(reason);
        assert_eq!((status.code(), refusal::reason(&status).as_str()), (code, reason), "{}", status.message());
        let entry = evidence::next_audited(&plane, "enrolment.refuse", at).await?;
        assert_eq!(entry.reason, reason, "{entry:?}");
        assert!(entry.actor.starts_with("127.0.0.1:"), "{entry:?}");
        assert!(!entry.details.contains(token) || token.is_empty(), "the audit holds no token: {entry:?}");
    }

    // None of this used the token up; one good request does.
    let request = EnrolRequest { token: open.clone(), csr_der: good, sidecar: String::new() };
    let credentials = enrolment.enrol(request.clone()).await?.into_inner().credentials.context("credentials are set")?;
    assert_eq!(credentials.spiffe_id, own);
    let status = enrolment.enrol(request).await.expect_err("it is used");
    assert_eq!((status.code(), refusal::reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_USED"));
    assert_eq!(evidence::audited(&plane, "enrolment.refuse").await?.last().context("an entry")?.reason, "TOKEN_USED");
    Ok(())
}

async fn has_expired(plane: &ControlPlane, id: &str) -> Result<()> {
    wait::until("the token to expire", EXPIRY_LIMIT, || async {
        let mut tokens = admin::token_service_client::TokenServiceClient::new(plane.channel());
        let listed = tokens.list_tokens(admin::ListTokensRequest::default()).await.ok()?.into_inner().tokens;
        listed.iter().any(|token| token.id == id && token.state() == admin::TokenState::Expired).then_some(())
    })
    .await
}

/// Starts the program itself, which ends instead of coming up; answers what it says.
async fn ends(folder: &std::path::Path, plan: &Plan, token: &str) -> String {
    match Sidecar::start(folder, plan, token).await {
        Ok(_) => panic!("the sidecar of {} came up", plan.agency),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_tells_its_operator_why_it_is_not_enrolled() -> Result<()> {
    let (folder, plane) = exchange().await?;
    let plan = Plan::consumer(CONSUMER, plane.address("sidecars"));
    let token = plane.token(CONSUMER).await?;
    let first = Sidecar::start(folder.path(), &plan, &token).await?;
    drop(first);
    let said = ends(folder.path(), &plan.clone().named("second"), &token).await;
    assert!(said.contains("TOKEN_USED"), "{said}");
    let said = ends(folder.path(), &plan.clone().named("third"), &plane.token(STRANGER).await?).await;
    assert!(said.contains("sidecar (any) of agency stranger") && said.contains("of agency asker"), "{said}");
    let said = ends(folder.path(), &plan.clone().named("fourth"), "chapar1.nonsense").await;
    assert!(said.contains("the enrolment token is not usable"), "{said}");
    let said = ends(folder.path(), &plan.named("fifth"), "").await;
    assert!(said.contains("chapar token create asker"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_gives_its_token_to_nobody_but_the_control_plane() -> Result<()> {
    let (folder, plane) = exchange().await?;
    let control_plane = "spiffe://exchange.example/control-plane";
    let sidecar = "spiffe://exchange.example/agency/stranger/sidecar/main";
    let impostors = [
        ("self-signed", Disguise::self_signed(control_plane)?),
        ("namesake", Disguise::of_a_namesake(control_plane)?),
        ("sidecar", Disguise::by_stolen_authority(plane.folder(), &[sidecar])?),
    ];
    for (name, disguise) in impostors {
        let impostor = Impostor::start("127.0.0.1:0", &disguise).await?;
        let plan = Plan::consumer(CONSUMER, impostor.address()).named(name);
        let said = ends(folder.path(), &plan, &plane.token(CONSUMER).await?).await;
        assert!(said.contains("no trusted connection to the control plane"), "{name}: {said}");
        assert_eq!((impostor.visits() > 0, impostor.heard_bytes()), (true, 0), "{name}: neither token nor request was sent");
    }

    // Nor does a token of another root let it trust the real one.
    let token = EnrolmentToken { root_sha256: [7; 32], ..EnrolmentToken::parse(&plane.token(CONSUMER).await?)? };
    let plan = Plan::consumer(CONSUMER, plane.address("sidecars")).named("astray");
    let said = ends(folder.path(), &plan, &token.to_string()).await;
    assert!(said.contains("no trusted connection to the control plane"), "{said}");
    assert_eq!(evidence::audited(&plane, "enrolment.refuse").await?, [], "the control plane was never asked");
    Ok(())
}
