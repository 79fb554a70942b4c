//! The first certificate: from the state folder, or for an enrolment token.

use std::{env, fs};

use aws_lc_rs::digest::{SHA256, digest};
use chapar_core::identity::{AgencyName, IdentityError, SpiffeId, TrustDomain, WorkloadName};
use chapar_proto::{
    token::EnrolmentToken,
    v1::{EnrolRequest, enrolment_service_client::EnrolmentServiceClient},
};
use tonic::transport::Channel;

use super::{
    EnrolError,
    request::{issued, request},
};
use crate::{
    clock::Clock,
    config::Config,
    control_channel::{self, Backoff, ControlChannelError},
    snapshot::{revocation_of_own, was_refused},
    state::StateFolder,
    trust::{Bundle, Credentials, Trust, introduction, peer_certificate},
};

/// Where the token is when the configuration names no file.
const TOKEN_VARIABLE: &str = "CHAPAR_TOKEN";

/// What this sidecar shows and trusts: kept from an earlier start while it is valid, otherwise enrolled for with the token.
/// Waits for a control plane that is away; whatever cannot get better by waiting is an error.
///
/// # Errors
/// When there is neither a valid certificate nor a token, or the control plane refuses.
pub async fn credentials(config: &Config, state: &StateFolder, clock: &Clock) -> Result<(Credentials, Bundle), EnrolError> {
    let agency = || config.agency.to_string();
    let token = match state.credentials()? {
        None => token(config)?.ok_or_else(|| EnrolError::NoToken { agency: agency() })?,
        Some((credentials, bundle)) => match kept_certificate(config, state, (&credentials, &bundle), clock)? {
            KeptCertificate::Good => return Ok((credentials, bundle)),
            KeptCertificate::Revoked(problem) => {
                let Some(token) = token(config)? else {
                    // It starts all the same: its callers are told why they are refused.
                    tracing::error!(error = %problem, "the certificate is revoked: ask an admin of the exchange for a token, and start anew");
                    return Ok((credentials, bundle));
                };
                tracing::warn!(error = %problem, "the kept certificate is revoked; enrolling anew with the token");
                token
            }
            KeptCertificate::Unusable(problem) => {
                let Some(token) = token(config)? else {
                    return Err(EnrolError::CertificateUnusable { problem, agency: agency() });
                };
                tracing::warn!(error = %problem, "the kept certificate is unusable; enrolling anew with the token");
                token
            }
        },
    };
    let (credentials, bundle) = enrol(config, &token, clock).await?;
    // Judged before it is kept, so that an unusable answer is not met again at every start.
    Trust::new(&credentials, bundle.clone(), clock.clone())?;
    state.keep_bundle(&bundle)?;
    state.keep_credentials(&credentials)?;
    Ok((credentials, bundle))
}

/// What the kept credentials are worth.
enum KeptCertificate {
    Good,
    Revoked(String),
    Unusable(String),
}

fn kept_certificate(
    config: &Config,
    state: &StateFolder,
    (credentials, bundle): (&Credentials, &Bundle),
    clock: &Clock,
) -> Result<KeptCertificate, EnrolError> {
    let own = peer_certificate(&credentials.chain).map_err(|problem| EnrolError::Answer(problem.to_string()))?;
    let configured = identity(config, bundle.trust_domain.clone());
    if own.spiffe_id != configured {
        return Err(EnrolError::OtherState { kept: own.spiffe_id.to_string(), configured: configured.to_string() });
    }
    if clock.now() >= own.not_after {
        return Ok(KeptCertificate::Unusable(format!("expired at {}", own.not_after)));
    }
    let trust = match Trust::new(credentials, bundle.clone(), clock.clone()) {
        Ok(trust) => trust,
        Err(problem) => {
            return Ok(KeptCertificate::Unusable(format!("is not in order ({})", control_channel::sentence(&problem))));
        }
    };
    if let Some(end) = revocation_of_own(state, &trust, clock.now())? {
        return Ok(KeptCertificate::Revoked(format!("revoked at {}: {}", end.at, end.reason)));
    }
    if was_refused(state, &own.serial)? {
        return Ok(KeptCertificate::Revoked("the control plane refused it as revoked".to_owned()));
    }
    Ok(KeptCertificate::Good)
}

struct Token {
    text: String,
    parsed: EnrolmentToken,
}

fn token(config: &Config) -> Result<Option<Token>, EnrolError> {
    let text = match (&config.control_plane.token_file, env::var(TOKEN_VARIABLE)) {
        (_, Ok(text)) if !text.trim().is_empty() => text,
        (Some(file), _) => match fs::read_to_string(file) {
            Ok(text) => text,
            // Operators remove the file once it has served; whether it is missed, the caller knows.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(EnrolError::TokenFile { file: file.display().to_string(), source }),
        },
        (None, _) => return Ok(None),
    };
    let parsed = EnrolmentToken::parse(&text).map_err(EnrolError::Token)?;
    let other = parsed.agency != config.agency.as_str()
        || parsed.sidecar.as_deref().is_some_and(|sidecar| sidecar != config.name.as_str());
    if other {
        let sidecar = parsed.sidecar.as_deref().unwrap_or("(any)");
        return Err(EnrolError::OtherSidecar {
            token: format!("sidecar {sidecar} of agency {}", parsed.agency),
            configured: format!("sidecar {} of agency {}", config.name, config.agency),
        });
    }
    Ok(Some(Token { text: text.trim().to_owned(), parsed }))
}

async fn enrol(config: &Config, token: &Token, clock: &Clock) -> Result<(Credentials, Bundle), EnrolError> {
    let malformed = |problem: IdentityError| EnrolError::Answer(format!("the token's trust domain: {problem}"));
    let trust_domain: TrustDomain = token.parsed.trust_domain.parse().map_err(malformed)?;
    let identity = identity(config, trust_domain.clone());
    let request = request(&identity)?;
    let tls = introduction(&trust_domain, token.parsed.root_sha256, clock);
    let channel = control_channel::channel(&config.control_plane, move || tls.clone());
    let message =
        EnrolRequest { token: token.text.clone(), csr_der: request.csr_der.clone(), sidecar: config.name.as_str().to_owned() };
    let mut backoff = Backoff::new(&config.control_plane);
    loop {
        match ask(config, channel.clone(), &message).await {
            Ok(answer) => return introduced(issued(answer, request.key, &identity)?, token.parsed.root_sha256),
            Err(ControlChannelError::Away(error)) => {
                let wait = backoff.next_wait();
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(%error, wait_ms, address = %config.control_plane.address, "cannot enrol yet");
                tokio::time::sleep(wait).await;
            }
            Err(error) => return Err(EnrolError::Control(error)),
        }
    }
}

/// Keeps of the roots in the answer the one that the token vouches for. Further ones come with the first signed snapshot, which hangs
/// from this one.
fn introduced(
    (credentials, mut bundle): (Credentials, Bundle),
    root_sha256: [u8; 32],
) -> Result<(Credentials, Bundle), EnrolError> {
    bundle.roots.retain(|root| digest(&SHA256, root).as_ref() == root_sha256);
    if bundle.roots.is_empty() {
        return Err(EnrolError::Answer("its trust bundle lacks the root whose fingerprint is in the token".to_owned()));
    }
    Ok((credentials, bundle))
}

async fn ask(
    config: &Config,
    channel: Channel,
    message: &EnrolRequest,
) -> Result<Option<chapar_proto::v1::Credentials>, ControlChannelError> {
    let mut client = EnrolmentServiceClient::new(channel);
    let answer = tokio::time::timeout(config.control_plane.request_timeout(), client.enrol(message.clone())).await;
    match answer {
        Ok(Ok(response)) => Ok(response.into_inner().credentials),
        Ok(Err(status)) => Err(status.into()),
        Err(_elapsed) => Err(ControlChannelError::Away("it does not answer".to_owned())),
    }
}

/// Who this sidecar is, by its configuration, within `trust_domain`.
fn identity(config: &Config, trust_domain: TrustDomain) -> SpiffeId {
    let (agency, name): (AgencyName, WorkloadName) = (config.agency.clone(), config.name.clone());
    SpiffeId::sidecar(trust_domain, agency, name)
}
