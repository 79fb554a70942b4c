//! How far everything has got that may only grow, under the control plane's signature: handed to every sidecar, so that an operator who
//! rolls a file back, or cuts it, is seen by those who remember.

mod verify;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use chapar_core::time::Timestamp;
use chapar_proto::{
    heads::{Backwards, in_order, signed_bytes},
    v1::{Head, SignedHeads},
};
use prometheus::{IntCounterVec, Opts, Registry};
use prost::Message as _;
use tempfile::NamedTempFile;
use tokio::{sync::Mutex, time::sleep};
use tokio_util::sync::CancellationToken;

pub use self::verify::{Told, sidecars_told, verify_audit};
use crate::{
    authority::{Authority, AuthorityError, sha256},
    clock::wire_of,
    ledger::Ledger,
    problem::WithSources,
    store::{AuditHead, HeadRow, Store, StoreError},
};

/// Pause between two signatures while something grows, in milliseconds: what is cut off within it, by who also ends the process, only
/// the entries' own numbers tell.
const PAUSE_MS: u64 = 1_000;

/// How long one head of the ledger is told, in milliseconds: what is cut off within it, by who also ends the process, only the evidence
/// chains tell.
const LEDGER_HEAD_MS: i64 = 10_000;

/// The newest signed heads, and what makes the next ones. Clones speak of the same.
#[derive(Clone)]
pub struct Heads {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    authority: Authority,
    ledger: Ledger,
    /// The ledger's head that is told, and since when: it grows with every call, and is taken anew now and then only.
    ledger_head: Mutex<Option<(Timestamp, AuditHead)>>,
    /// Where the newest heads lie beside the databases.
    file: PathBuf,
    newest: ArcSwapOption<Signed>,
    /// What sidecars keep, by SPIFFE ID: what they told when they connected, or took since. Bounded by those who are enrolled.
    sidecars: std::sync::Mutex<BTreeMap<String, Arc<Signed>>>,
    backwards: IntCounterVec,
    /// Held while one is made: the hash over the policy's versions goes on from here.
    policy: Mutex<AuditHead>,
}

/// Heads, and the same under the signature.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    /// What is told.
    pub heads: chapar_proto::v1::Heads,
    /// As it goes out.
    pub wire: SignedHeads,
}

/// Heads cannot be signed or kept; the operator of the control plane must act.
#[derive(Debug, thiserror::Error)]
pub enum HeadsError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key.
    #[error("cannot sign the heads")]
    Sign(#[from] AuthorityError),
    /// The file beside it.
    #[error("cannot use {}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Heads {
    /// Takes up what was signed last, and says aloud where the databases have gone back behind it.
    ///
    /// # Errors
    /// When the database or the file cannot be read.
    pub async fn open(
        store: Store,
        authority: Authority,
        ledger: Ledger,
        file: &Path,
        backwards: IntCounterVec,
    ) -> Result<Self, HeadsError> {
        let (policy, sidecars) = (Mutex::new(AuditHead::default()), std::sync::Mutex::default());
        let newest = ArcSwapOption::empty();
        let (file_name, ledger_head) = (file.to_owned(), Mutex::default());
        let inner = Inner { store, authority, ledger, ledger_head, file: file_name, newest, sidecars, backwards, policy };
        let heads = Self { inner: Arc::new(inner) };
        let kept = heads.kept()?;
        heads.sign().await?;
        if let (Some(kept), Some(own)) = (kept, heads.newest())
            && let Err(backwards) = in_order(&kept.heads, &own.heads)
        {
            heads.alarm(&backwards, &format!("the heads kept in {}", file.display()));
        }
        Ok(heads)
    }

    /// The newest, if any was signed.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Signed>> {
        self.inner.newest.load_full()
    }

    /// Signs how far everything has got by now, unless the newest heads say it already.
    ///
    /// # Errors
    /// When the database cannot be read or written, or the key not be used.
    pub async fn sign(&self) -> Result<Arc<Signed>, HeadsError> {
        let Inner { store, authority, newest, .. } = &*self.inner;
        let mut policy = self.inner.policy.lock().await;
        *policy = verify::policy_head(store, *policy).await?;
        let audit = store.audit_head().await;
        let mut heads = chapar_proto::v1::Heads {
            trust_domain: authority.trust_domain().to_string(),
            at: None,
            audit: Some(wire_head(audit)),
            policy: Some(wire_head(*policy)),
            ledger: Some(wire_head(self.ledger_head().await?)),
        };
        if let Some(newest) = newest.load_full()
            && (chapar_proto::v1::Heads { at: None, ..newest.heads.clone() }) == heads
        {
            return Ok(newest);
        }
        heads.at = Some(wire_of(store.clock().now()));
        let bytes = heads.encode_to_vec();
        let signature = authority.signer().sign(&signed_bytes(&bytes))?;
        let wire = SignedHeads { heads: bytes, signature: signature.der, signer_chain_der: signature.chain };
        let signed = Arc::new(Signed { heads, wire });
        self.keep(&signed, audit.id).await?;
        newest.store(Some(signed.clone()));
        Ok(signed)
    }

    /// The ledger's head, at most so old.
    async fn ledger_head(&self) -> Result<AuditHead, StoreError> {
        let Inner { store, ledger, ledger_head, .. } = &*self.inner;
        let (now, mut held) = (store.clock().now(), ledger_head.lock().await);
        if let Some((since, head)) = *held
            && (0..LEDGER_HEAD_MS).contains(&now.ms_since(since))
        {
            return Ok(head);
        }
        let head = ledger.head().await?;
        *held = Some((now, head));
        Ok(head)
    }

    /// A sidecar has connected and told what it keeps. What is not signed by this exchange is no memory of it, and passed over.
    pub fn told(&self, sidecar: &str, wire: SignedHeads) {
        let Some(signed) = Signed::read(wire) else { return };
        if let Err(problem) = verify::Anchors::of(&self.inner.authority).witness(sidecar, &signed) {
            tracing::warn!(sidecar, problem, "a sidecar tells heads that this exchange never signed");
            return;
        }
        if let Some(own) = self.newest()
            && let Err(backwards) = in_order(&signed.heads, &own.heads)
        {
            self.alarm(&backwards, sidecar);
        }
        self.keeps(sidecar, Arc::new(signed));
    }

    /// A sidecar has taken these heads, and keeps them.
    pub fn keeps(&self, sidecar: &str, signed: Arc<Signed>) {
        self.remembered().insert(sidecar.to_owned(), signed);
    }

    /// What every sidecar keeps that told it since this process started.
    #[must_use]
    pub fn sidecars(&self) -> Vec<(String, Signed)> {
        self.remembered().iter().map(|(sidecar, signed)| (sidecar.clone(), (**signed).clone())).collect()
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Signed>>> {
        // An entry is one insertion: nothing is half done if a holder panicked.
        self.inner.sidecars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says aloud that something was rolled back.
    fn alarm(&self, backwards: &Backwards, who: &str) {
        let (Backwards::Lower { what, .. } | Backwards::Exchanged { what, .. } | Backwards::Missing { what, .. }) = backwards;
        self.inner.backwards.with_label_values(&[what]).inc();
        tracing::error!(
            %backwards,
            who,
            "the exchange's memory was rolled back or exchanged; an admin must find out by whom: chapar audit verify, chapar check heads"
        );
    }

    async fn keep(&self, signed: &Signed, audit_last: u64) -> Result<(), HeadsError> {
        let chain = SignedHeads { signer_chain_der: signed.wire.signer_chain_der.clone(), ..SignedHeads::default() };
        let alone = SignedHeads { signer_chain_der: Vec::new(), ..signed.wire.clone() };
        let leaf = signed.wire.signer_chain_der.first().map(Vec::as_slice).unwrap_or_default();
        let row =
            HeadRow { audit_last, signed: alone.encode_to_vec(), signer: sha256(leaf).to_vec(), chain: chain.encode_to_vec() };
        let mut tx = self.inner.store.write().await?;
        tx.keep_head(&row).await?;
        tx.commit().await?;
        let file = &self.inner.file;
        let write = || -> std::io::Result<()> {
            let mut aside = NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
            aside.write_all(&signed.wire.encode_to_vec())?;
            aside.persist(file)?;
            Ok(())
        };
        write().map_err(|source| HeadsError::File { file: file.clone(), source })
    }

    /// What the file beside the databases holds. One that cannot be read says so, and counts as none.
    fn kept(&self) -> Result<Option<Signed>, HeadsError> {
        let file = &self.inner.file;
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(HeadsError::File { file: file.clone(), source }),
        };
        let read = SignedHeads::decode(bytes.as_slice()).ok().and_then(Signed::read);
        if read.is_none() {
            tracing::error!(file = %file.display(), "the kept heads cannot be read; somebody changed them, or the disk did");
        }
        Ok(read)
    }
}

impl Signed {
    /// Reads what is told. Whether it was signed is another question.
    #[must_use]
    pub fn read(wire: SignedHeads) -> Option<Self> {
        let heads = chapar_proto::v1::Heads::decode(wire.heads.as_slice()).ok()?;
        Some(Self { heads, wire })
    }
}

/// Counts what went backwards, by what it was.
///
/// # Errors
/// When something else was registered under its name.
pub fn backwards_counted(registry: &Registry) -> prometheus::Result<IntCounterVec> {
    let about = "Times that somebody remembered more of the audit, the policy or the ledger than is there, by which";
    let counted = IntCounterVec::new(Opts::new("chapar_control_plane_heads_backwards_total", about), &["head"])?;
    registry.register(Box::new(counted.clone()))?;
    Ok(counted)
}

/// Signs, again and again as things grow, until told to stop.
pub async fn run(heads: Heads, stopping: CancellationToken) {
    loop {
        let stopped = stopping.run_until_cancelled(sleep(Duration::from_millis(PAUSE_MS))).await.is_none();
        if let Err(error) = heads.sign().await {
            tracing::error!(error = %WithSources(&error), "cannot sign how far audit, policy and ledger have got");
        }
        if stopped {
            return;
        }
    }
}

fn wire_head(head: AuditHead) -> Head {
    Head { number: head.id, hash: if head.id == 0 { Vec::new() } else { head.hash.to_vec() } }
}
