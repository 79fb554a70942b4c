//! The stream on which the control plane tells this sidecar what changed.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use chapar_core::identity::SpiffeId;
use chapar_proto::{
    convert::snapshot::{Contents, Settings},
    v1::{self, follow_request::Message, snapshot_service_client::SnapshotServiceClient},
};
use rustls::pki_types::CertificateDer;
use tokio::{
    sync::{mpsc, watch},
    task::JoinError,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::{
    Current, heads, kept,
    verify::{UpdateProblem, VerifiedSet, fresh, short, verified},
};
use crate::{
    clock::Clock,
    control_channel::{Backoff, ControlChannel, ControlChannelError, sentence},
    probation,
    state::{StateError, StateFolder},
    trust::{Bundle, Trust, Vouched, hex, vouched},
};

/// Largest update that is taken in, in bytes. A whole snapshot of 100,000 grants has some 30 MB.
const UPDATE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Answers that wait for the stream to take them: one update is answered before the next is read, and the greeting goes ahead.
const ANSWERS_MAX: usize = 2;

/// Reason by which the control plane turns a revoked certificate away.
const REVOKED: &str = "CERTIFICATE_REVOKED";

/// How long the control plane may take to end a stream that this sidecar has ended.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Follows the control plane and puts what it says in force.
#[derive(Debug)]
pub struct Follower {
    control_channel: ControlChannel,
    trust: Trust,
    state: StateFolder,
    current: Current,
    clock: Clock,
    settings: watch::Sender<Settings>,
    sessions: watch::Sender<u64>,
    held: Option<Arc<VerifiedSet>>,
    /// How far the exchange had got, as it said last.
    heads: Option<heads::KeptHeads>,
    /// Roots that the last snapshot named and nobody vouches for.
    unproven: Vec<CertificateDer<'static>>,
    /// What is held did not fit the last delta: ask for the whole set.
    wants_full: bool,
}

/// Why a session on the stream ended.
enum End {
    /// The connection is being replaced by one with the renewed certificate.
    Replaced,
    /// The control plane closed the stream.
    Closed,
}

impl Follower {
    /// Puts in force what an earlier run kept, and is then ready to follow.
    ///
    /// # Errors
    /// When the state folder cannot be used.
    pub fn resume(
        control_channel: ControlChannel,
        trust: Trust,
        state: StateFolder,
        current: Current,
        clock: Clock,
    ) -> Result<Self, StateError> {
        let heads = heads::load(&state)?;
        let mut follower = Self {
            control_channel,
            trust,
            state,
            current,
            clock,
            settings: watch::Sender::default(),
            sessions: watch::Sender::new(0),
            held: None,
            heads,
            unproven: Vec::new(),
            wants_full: false,
        };
        if let Some((held, contents)) = kept::load(&follower.state, &follower.trust, follower.clock.now())? {
            let manifest = &held.manifest;
            tracing::info!(
                revision = manifest.revision,
                policy_version = manifest.policy_version,
                valid_until = %manifest.valid_until,
                "in force from the kept snapshot"
            );
            follower.put_in_force(Arc::new(held), contents);
        }
        Ok(follower)
    }

    /// What the exchange asks of this sidecar.
    #[must_use]
    pub fn settings(&self) -> watch::Receiver<Settings> {
        self.settings.subscribe()
    }

    /// Changes at the first update of every session with the control plane.
    #[must_use]
    pub fn sessions(&self) -> watch::Receiver<u64> {
        self.sessions.subscribe()
    }

    /// Follows, again and again, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = self.control_channel.backoff();
        let mut told_revoked = false;
        loop {
            let shown = self.trust.own();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.session(&mut backoff) => ended,
            };
            let wait = match ended {
                Ok(End::Replaced) => Duration::ZERO,
                Ok(End::Closed) => {
                    let wait = backoff.next_wait();
                    tracing::info!(wait_ms = ms(wait), "the control plane closed the snapshot stream");
                    wait
                }
                Err(error) => {
                    let wait = backoff.next_wait();
                    tracing::warn!(error = sentence(&error), wait_ms = ms(wait), "not following the control plane");
                    let reason = if let ControlChannelError::Refused { reason, .. } = &error { reason.as_str() } else { "" };
                    if probation::is_denied(reason) {
                        probation::fall_back(&self.trust, &self.state, &shown.serial, reason);
                    }
                    let revoked = reason == REVOKED;
                    if revoked && !std::mem::replace(&mut told_revoked, true) {
                        self.keep_refused(&shown.serial);
                    }
                    wait
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn keep_refused(&self, serial: &str) {
        if let Err(error) = kept::keep_refused(&self.state, serial) {
            tracing::error!(error = sentence(&error), "the revocation could not be kept for the next start");
        }
    }

    async fn session(&mut self, backoff: &mut Backoff) -> Result<End, ControlChannelError> {
        let mut replaced = self.control_channel.watch();
        let (answers, outgoing) = mpsc::channel(ANSWERS_MAX);
        // There is room: the channel is new.
        let _ = answers.try_send(request(Message::Hello(self.hello())));
        let mut client = SnapshotServiceClient::new(self.control_channel.channel()).max_decoding_message_size(UPDATE_BYTES_MAX);
        let opened = client.follow(ReceiverStream::new(outgoing));
        let mut updates = match tokio::time::timeout(self.control_channel.request_timeout(), opened).await {
            Ok(opened) => opened?.into_inner(),
            Err(_elapsed) => return Err(ControlChannelError::Away("it does not answer on the snapshot stream".to_owned())),
        };
        let mut first = true;
        loop {
            let update = tokio::select! {
                _ = replaced.changed() => return Ok(End::Replaced),
                update = next(&mut updates) => update?,
            };
            let Some(update) = update else { return Ok(End::Closed) };
            let revision = announced_revision(&update);
            let refused = self.take(update).await.err();
            let accepted = refused.is_none();
            let problem = refused.as_ref().map(ToString::to_string).unwrap_or_default();
            let ack = v1::Ack { revision, accepted, problem };
            if answers.send(request(Message::Ack(ack))).await.is_err() {
                return Ok(End::Closed);
            }
            if let Some(error) = refused {
                tracing::error!(revision, %error, "the update is refused; what was in force stays");
                self.wants_full = error.wants_full();
                if self.wants_full {
                    // Only a new greeting can ask for the whole set; first the control plane hears why.
                    drop(answers);
                    let _ = tokio::time::timeout(FAREWELL_MAX, updates.message()).await;
                    return Ok(End::Closed);
                }
                continue;
            }
            backoff.reset();
            if std::mem::take(&mut first) {
                self.sessions.send_modify(|sessions| *sessions += 1);
            }
        }
    }

    fn hello(&self) -> v1::Hello {
        let held = self.held.as_ref().filter(|_| !self.wants_full);
        v1::Hello {
            spiffe_id: self.trust.own().spiffe_id.to_string(),
            revision: held.map_or(0, |held| held.manifest.revision),
            digest: held.map_or_else(Vec::new, |held| held.manifest.digest.to_vec()),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            heads: self.heads.as_ref().map(|heads| heads.wire.clone()),
            reads_keys_of_pairs: true,
        }
    }

    async fn take(&mut self, mut update: v1::Update) -> Result<(), UpdateProblem> {
        let now = self.clock.now();
        let told = update.heads.take();
        let unchanged = !update.full && update.changed.is_empty() && update.removed.is_empty();
        let (held, trust) = (self.held.clone(), self.trust.clone());
        // A million grants take a second: what else this thread has to do must not wait for it.
        let verifying = tokio::task::spawn_blocking(move || verified(update, held.as_deref(), &trust, now));
        let (held, contents) = match verifying.await.map_err(JoinError::try_into_panic) {
            Ok(verified) => verified?,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime is going down, and this with it.
            Err(Err(_cancelled)) => std::future::pending().await,
        };
        fresh(&held.manifest, now)?;
        let heads = heads::judged(told, self.heads.as_ref(), &self.trust, now)?;
        let held = Arc::new(held);
        if unchanged {
            tracing::debug!(revision = held.manifest.revision, valid_until = %held.manifest.valid_until, "snapshot prolonged");
        } else {
            tracing::info!(
                revision = held.manifest.revision,
                policy_version = held.manifest.policy_version,
                resources = held.set.len(),
                digest = short(&held.manifest.digest),
                "snapshot taken"
            );
        }
        // In force first: a revocation must not wait for a disk, and a full disk must not keep an old policy alive.
        self.put_in_force(Arc::clone(&held), contents);
        self.wants_full = false;
        let state = self.state.clone();
        let newer = heads.filter(|heads| self.heads.as_ref() != Some(heads));
        self.heads = newer.clone().or(self.heads.take());
        let keep = move || {
            newer.map_or(Ok(()), |heads| heads::keep(&state, &heads))?;
            kept::keep(&state, &held)
        };
        match tokio::task::spawn_blocking(keep).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error = sentence(&error), "the snapshot is in force but could not be kept for the next start");
            }
            Err(error) => tracing::error!(%error, "keeping the snapshot was cut off"),
        }
        Ok(())
    }

    fn put_in_force(&mut self, held: Arc<VerifiedSet>, contents: Contents) {
        let own = held.manifest.trust_domain.clone();
        if let Some(roots) = contents.bundles.get(&own) {
            let roots = roots.iter().map(|root| CertificateDer::from(root.clone())).collect();
            let cross = contents.cross_certificates.iter().map(|der| CertificateDer::from(der.as_slice()));
            self.take_roots(&held, Bundle { trust_domain: own, roots }, cross.collect());
        }
        self.settings.send_if_modified(|settings| {
            let changed = *settings != contents.settings;
            settings.clone_from(&contents.settings);
            changed
        });
        self.current.replace(contents.snapshot());
        self.trust.heed(self.current.load());
        self.held = Some(held);
    }

    /// Takes those of the roots that `signed` brings that a root held before vouches for: whoever has the key of an issuing CA signs a
    /// snapshot, and no root. And takes none if they leave out the one by which it was signed itself: who says that nobody is to
    /// be believed who hangs from a root is not to be believed either when he hangs from it.
    fn take_roots<'a>(&mut self, signed: &'a VerifiedSet, mut bundle: Bundle, mut cross: Vec<CertificateDer<'a>>) {
        let held = self.trust.bundle();
        if held == bundle {
            return;
        }
        let chain: Vec<_> = signed.signed.signer_chain_der.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        cross.extend(chain.iter().skip(1).cloned());
        let Vouched { trusted, unproven } = vouched(&held.roots, bundle.roots, &cross, signed.manifest.issued_at);
        bundle.roots = trusted;
        self.tell_unproven(unproven, signed.manifest.revision);
        let control_plane = SpiffeId::control_plane(bundle.trust_domain.clone());
        if let Err(error) = self.trust.verify_chain_by(bundle.clone(), &chain, &control_plane, signed.manifest.issued_at) {
            tracing::error!(
                error = sentence(&error),
                revision = signed.manifest.revision,
                "the trust bundle leaves out the root of whoever signed it; the one before stays in use"
            );
            return;
        }
        if held == bundle {
            return;
        }
        let count = bundle.roots.len();
        let kept = self.state.keep_bundle(&bundle);
        match self.trust.replace_bundle(bundle) {
            Ok(()) => tracing::info!(roots = count, "trust bundle replaced"),
            Err(error) => tracing::error!(error = sentence(&error), "the trust bundle cannot be taken into use"),
        }
        if let Err(error) = kept {
            tracing::error!(error = sentence(&error), "the trust bundle could not be kept for the next start");
        }
    }
}

impl Follower {
    /// Says once which roots are not trusted, and who must look.
    fn tell_unproven(&mut self, unproven: Vec<CertificateDer<'static>>, revision: u64) {
        if self.unproven == unproven {
            return;
        }
        for root in unproven.iter().filter(|root| !self.unproven.contains(root)) {
            tracing::error!(
                revision,
                root_sha256 = &*hex(digest(&SHA256, root).as_ref()),
                "the snapshot names a root that no root held here vouches for: it is not trusted. Compare it with `chapar ca show --wide`: \
                 if the exchange does not know it, somebody signs with the key of its issuing CA, which its admins must revoke"
            );
        }
        self.unproven = unproven;
    }
}

async fn next(updates: &mut Streaming<v1::FollowResponse>) -> Result<Option<v1::Update>, ControlChannelError> {
    loop {
        match updates.message().await? {
            Some(v1::FollowResponse { update: Some(update) }) => return Ok(Some(update)),
            Some(v1::FollowResponse { update: None }) => {}
            None => return Ok(None),
        }
    }
}

/// The revision that an update claims, before anything of it is believed: only to name what is answered.
fn announced_revision(update: &v1::Update) -> u64 {
    use prost::Message as _;
    let manifest = update.signed_manifest.as_ref().map(|signed| signed.manifest.as_slice()).unwrap_or_default();
    v1::SnapshotManifest::decode(manifest).map(|manifest| manifest.revision).unwrap_or_default()
}

fn request(message: Message) -> v1::FollowRequest {
    v1::FollowRequest { message: Some(message) }
}

fn ms(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
